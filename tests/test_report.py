from __future__ import annotations

import base64
import csv
import gzip
import hashlib
import html
import json
import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import matplotlib
import matplotlib.style
import numpy as np
import pytest

from trajlm.analysis import ExponentialMixture, group_by_edges, group_by_list, rate_constants
from trajlm.comparison import Comparison, compare
from trajlm.data import States
from trajlm.errors import InputError, OutputError
from trajlm.evaluate.groups import data_facts, grouping_warning, groups_line, state_table
from trajlm.evaluate.rates import FEW_EVENTS, commit_index, rate_tables
from trajlm.evaluate.significance import population_rows, typical_dwells
from trajlm.lstm.record import Baselines, Direction, EpochRecord, LSTMRecord
from trajlm.lstm.settings import TrainingSettings
from trajlm.models.markov import fit_msm
from trajlm.provenance import Clustering, Discretization, Note
from trajlm.report import gallery, save_report
from trajlm.report.figures import LOOK, discrepancy_picture
from trajlm.report.page import exponentials
from trajlm.report.results import collect_results
from trajlm.util.atomic import plain
from trajlm.util.words import (
    elapsed,
    interval,
    listed,
    number,
    physical_time,
)

LSTM_RECORD = LSTMRecord(
    settings=TrainingSettings(epochs=2, seed=7),
    n_frames=6000,
    n_trajectories=1,
    best_epoch=2,
    history=(EpochRecord(1, 0.5, 0.52, 1.0), EpochRecord(2, 0.4, 0.41, 1.0)),
    baselines=Baselines(0.45, 1.0),
)
SECTIONS = ["data", "look", "equilibrium", "kinetics", "settled", "dwells", "network", "how"]
HOW = {
    "command": "trajlm compare a.npy",
    "seconds": {"training": 75.0},
    "data": "A chain <of> states.",
    "seeds": {"training": 7},
    "machine": "two cores",
    "files": ["a.npy"],
    "anything": {"deep": {"er": [1, 2]}},
}


def chain(T, n: int, seed: int, dt: float = 0.5) -> States:
    rng = np.random.default_rng(seed)
    edges = np.cumsum(T, axis=1)
    states = np.zeros(n, dtype=int)
    for t in range(1, n):
        states[t] = np.searchsorted(edges[states[t - 1]], rng.random())
    return States(np.minimum(states, len(T) - 1), len(T), dt, "ns")


def ring(n: int, rate: float = 0.02):
    T = np.full((n, n), rate / (n - 1))
    np.fill_diagonal(T, 1 - rate)
    return T


class Page(HTMLParser):
    """What a page holds: addresses, sections and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.sections: list[str] = []
        self.images: list[dict[str, str]] = []
        self.figures: list[dict[str, str]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append(tag)
        self.addresses += [given[k] for k in ("src", "srcset", "href") if k in given]
        if tag == "section":
            self.sections.append(given["id"])
        if tag == "img":
            self.images.append(given)
        if tag == "figure":
            self.figures.append(given)

    @property
    def drawn(self) -> list[str]:
        """The images of the page as SVG."""
        return [base64.b64decode(i["src"].split(",")[1]).decode() for i in self.images]

    def handle_data(self, data):
        self.text += data


def saved(comparison: Comparison, folder, how=HOW):
    save_report(comparison, folder, how)
    page = Page((folder / "index.html").read_text(encoding="utf-8"))
    refuse = pytest.fail
    results = json.loads(
        (folder / "results.json").read_text(encoding="utf-8"),
        parse_constant=lambda name: refuse(f"{name} is not JSON"),
    )
    return page, results


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    data = chain(ring(3, 0.06), 6000, 0)
    others = {"LSTM": chain(ring(3, 0.06), 6000, 1), "MSM": fit_msm(data)}
    made = compare(data, others, n_runs=2)
    vectors = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    training = replace(made.models[0].trainings[0], record=LSTM_RECORD)
    lstm = replace(made.models[0], trainings=(training,), embedding=vectors, cross_entropy=0.4)
    return replace(made, models=(lstm, *made.models[1:]))


@pytest.fixture(scope="module")
def report(comparison, tmp_path_factory):
    return saved(comparison, tmp_path_factory.mktemp("report"))


def test_the_page_has_its_sections_and_needs_nothing_from_outside(report):
    page, _ = report
    assert page.sections == SECTIONS
    # One script runs, its own, and the policy of the page allows no other.
    (script,) = re.findall(r"<script>(.*?)</script>", page.html, flags=re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert page.tags.count("script") == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page.html)[1]
    assert f"script-src 'sha256-{digest}'" in html.unescape(policy)
    assert "default-src 'none'" in html.unescape(policy)
    assert "link" not in page.tags
    inside = ("data:image/svg+xml;base64,", "data:application/pdf;base64,", "#")
    assert all(a.startswith(inside) for a in page.addresses)
    assert {a[1:] for a in page.addresses if a.startswith("#")} <= {"", *page.sections}


def test_images_are_whole_and_described(report):
    page, _ = report
    assert len(page.images) > 12
    for image in page.images:
        svg = ET.fromstring(base64.b64decode(image["src"].split(",")[1]))
        assert svg.tag.endswith("svg")
        assert "alt" in image
    assert sum(bool(image["alt"]) for image in page.images) >= 12


def test_every_pair_and_group_has_its_panel(report):
    page, _ = report
    alts = " ".join(image["alt"] for image in page.images)
    for i in range(3):
        assert f"dwells in group {i}" in alts
        for j in range(3):
            assert (f"{i} → {j}" in alts) == (i != j)


def test_every_figure_can_be_saved_with_text_that_stays_text_and_its_numbers(report):
    page, _ = report
    assert len(page.figures) == len(page.images)
    assert len({figure["data-name"] for figure in page.figures}) == len(page.figures)
    documents = [a for a in page.addresses if a.startswith("data:application/pdf")]
    assert len(documents) == len(page.figures)
    for document in documents:
        pdf = base64.b64decode(document.split(",")[1])
        assert pdf.startswith(b"%PDF")
        assert b"/FontFile2" in pdf
    for figure, svg in zip(page.figures, page.drawn, strict=True):
        assert "<text" in svg
        lines = gzip.decompress(base64.b64decode(figure["data-csv"])).decode().splitlines()
        assert lines[0].startswith("source,")
        assert len(lines) > 1
        assert len({len(row) for row in csv.reader(lines)}) == 1


def test_the_numbers_of_a_figure_are_those_of_the_comparison(report, comparison):
    page, _ = report
    (figure,) = (f for f in page.figures if f["data-name"] == "rate-0-1")
    lines = gzip.decompress(base64.b64decode(figure["data-csv"])).decode().splitlines()
    assert lines[0] == "source,commit time / ns,transitions per ns,low,high,transitions"
    data = comparison.reference.transitions
    rows = [line.split(",") for line in lines if line.startswith("data,")]
    assert [int(row[5]) for row in rows] == data.counts[:, 0, 1].tolist()
    np.testing.assert_allclose([float(row[2]) for row in rows], data.rates()[:, 0, 1], rtol=1e-4)
    (scale,) = json.loads(figure["data-scales"])
    assert scale["log"] == [True, True]
    left, upper, right, lower = scale["box"]
    assert 0 < left < right < 3.4 * 72
    assert 0 < upper < lower


def test_results_hold_the_numbers_of_the_comparison(report, comparison):
    _, results = report
    assert {"reference", "models", "grouping", "space", "settings", "how", "versions"} <= set(
        results
    )
    assert list(results["models"]) == ["LSTM", "MSM"]
    for model in comparison.models:
        row = results["summary"]["models"][model.name]
        assert row["D"] == model.discrepancy.value
        assert row["D_interval"] == list(model.discrepancy_interval)
        floor = comparison.reference.discrepancy.value
        assert row["D_over_D0"] == pytest.approx(model.discrepancy.value / floor)
        assert row["cross_entropy"] == model.cross_entropy
    data = results["reference"]["transitions"]
    counts = np.array(data["counts"])
    np.testing.assert_array_equal(counts, comparison.reference.transitions.counts)
    np.testing.assert_allclose(np.array(data["rates"]), counts / 3000.0)
    assert len(results["reference"]["excerpt"]) == 6000
    assert results["models"]["LSTM"]["record"] == LSTM_RECORD.to_dict()
    assert results["how"] == HOW
    assert results["versions"]["trajlm"]


def test_the_page_tells_the_numbers(report, comparison):
    page, _ = report
    floor = comparison.reference.discrepancy.value
    lstm = comparison.models[0].discrepancy.value
    assert f"D0 = {number(floor, 2)}" in page.text
    assert f"D = {number(lstm, 2)}" in page.text
    assert f"{number(lstm / floor, 2)} times" in page.text
    for words in ("A chain <of> states.", "trajlm compare a.npy", "75 s", "two cores", "deep"):
        assert words in page.text


def test_the_page_is_the_same_each_time_whatever_the_settings_of_matplotlib(
    report, comparison, tmp_path, monkeypatch
):
    page, _ = report
    monkeypatch.undo()  # as the page of the fixture was made, with its PDF files
    with matplotlib.rc_context({"axes.facecolor": "black", "font.size": 30}):
        before = dict(matplotlib.rcParams)
        save_report(comparison, tmp_path, HOW)
        assert dict(matplotlib.rcParams) == before
    assert (tmp_path / "index.html").read_text(encoding="utf-8") == page.html


@pytest.fixture(scope="module")
def drawn(comparison):
    with matplotlib.style.context(LOOK):
        return discrepancy_picture(comparison)


def test_the_figures_of_the_page_are_written_as_files_with_their_numbers(
    report, comparison, drawn, tmp_path, monkeypatch
):
    # Of all that the page shows, in the same places, one that is drawn fast.
    places = {"one": drawn, "none": None, "by model": [(comparison.models[0], [drawn])]}
    monkeypatch.setattr(gallery, "pictures_of", lambda comparison: places)
    written = comparison.save_figures(tmp_path / "figures", ("svg", "pdf", "png"))
    assert sorted(written) == sorted((tmp_path / "figures").iterdir())
    of = {path.name: path.read_bytes() for path in written}
    names = ("discrepancy", "discrepancy-2")
    assert set(of) == {f"{name}.{end}" for name in names for end in ("svg", "pdf", "png", "csv")}
    assert of["discrepancy.svg"].decode() in report[0].drawn
    # Type 42 fonts, which drawing programs open as text.
    assert b"/CIDFontType2" in of["discrepancy.pdf"]
    assert of["discrepancy.png"].startswith(b"\x89PNG")
    assert of["discrepancy.csv"].startswith(b"source,D,low,high")
    with pytest.raises(InputError, match="jpg"):
        comparison.save_figures(tmp_path, "jpg")


def test_names_of_users_are_shown_and_never_run(tmp_path):
    evil = "<script>alert(1)</script> $x_{"
    data = chain(ring(2), 1500, 0)
    grouping = group_by_list(data, [0, 1], names=("<b>", '"&_'))
    made = compare(data, {evil: chain(ring(2), 1500, 3)}, grouping=grouping)
    page, results = saved(made, tmp_path, {"command": evil, evil: evil, "data": {evil: evil}})
    assert page.tags.count("script") == 1
    assert "<script>alert" not in page.html
    assert "b" not in page.tags
    assert page.text.count(evil) >= 4
    assert "<b>" in page.text
    assert results["models"][evil]["n_frames"] == 1500


def test_without_a_language_model_its_section_is_left_out(tmp_path):
    data = chain(ring(2), 1500, 0)
    made = compare(data, {"MSM": fit_msm(data), "file": chain(ring(2), 900, 4)}, n_runs=2)
    page, results = saved(made, tmp_path, {})
    assert "network" not in page.sections
    assert "#network" not in page.addresses
    assert results["models"]["file"]["embedding"] is None
    assert results["models"]["file"]["cross_entropy"] is None


def test_data_with_few_transitions_is_said_to_settle_nothing(tmp_path):
    frames = np.repeat([0, 1, 0, 1], [400, 200, 300, 100])
    data = States(frames, 2)
    page, results = saved(compare(data, {"MSM": fit_msm(data)}, n_runs=2), tmp_path, {})
    assert "The data has too few transitions" in page.text
    assert "settles none of the rates" in page.text
    assert "Too few transitions to judge by" in page.text
    assert results["summary"]["D0"] is None
    assert results["summary"]["models"]["MSM"]["D"] is None


def test_a_missing_floor_is_said_where_d_itself_is_known(tmp_path):
    # Thirty transitions each way in all, fifteen in each half.
    data = States(np.tile(np.repeat([0, 1], 20), 30), 2)
    page, results = saved(compare(data, {"again": data}), tmp_path, {})
    assert results["summary"]["D0"] is None
    assert results["summary"]["models"]["again"]["D"] == 0
    assert "too few transitions to give a floor" in page.text


def test_groups_that_are_never_entered_or_never_seen_are_no_obstacle(tmp_path):
    data = States(np.repeat([0, 1], 500), 3)
    made = compare(data, {"other": States(np.repeat([0, 1, 0], 300), 3)})
    assert made.reference.survivals[0] is None
    assert made.reference.survivals[2] is None
    page, _ = saved(made, tmp_path, {})
    assert page.sections == [s for s in SECTIONS if s != "network"]


def test_rates_are_placed_against_the_interval_of_the_data(comparison):
    data = comparison.reference.transitions
    slow = replace(
        comparison.models[1].transitions,
        counts=np.zeros_like(comparison.models[1].transitions.counts),
    )
    models = (
        replace(comparison.models[0], transitions=data),
        replace(comparison.models[1], transitions=slow),
    )
    # At a commit time of five frames.
    made = replace(comparison, models=models, commit_time=5 * data.dt)
    tables, expected = rate_tables(made), rate_constants(data, 5)
    assert tables.commit_time == 5 * data.dt
    assert len(tables.rates) == 6
    for row in tables.rates:
        i, j = int(row.source), int(row.target)
        assert row.count == data.counts[2, i, j]
        assert row.rate_constant == expected.values[i, j]
        assert (row.low, row.high) == (expected.low[i, j], expected.high[i, j])
        assert row.low < row.rate_constant < row.high
        assert [m.place for m in row.models] == ["inside", "below"]
        assert row.reliable == (row.count >= FEW_EVENTS)
        time_in_source = data.time_in_state[i] * data.dt
        assert row.at_one_frame == pytest.approx(row.flicker / time_in_source)
    settled = sum(row.reliable for row in tables.rates)
    for name, inside in zip((m.name for m in models), (settled, 0), strict=True):
        found = tables.settled(name)
        assert (found.inside, found.outside) == (inside, settled - inside)
        assert found.unsettled == 6 - settled


def test_populations_come_back_from_the_free_energies(comparison):
    reference = comparison.reference
    for k, row in enumerate(population_rows(comparison)):
        assert row.value == reference.group_free_energy.populations[k]
        assert 0 <= row.low < row.value < row.high <= 1
        share = reference.transitions.time_in_state[k] / reference.n_frames
        assert row.value == pytest.approx(share)


def test_typical_dwell_weighs_dwells_by_their_time():
    # Many flickers of one frame, but most of the time goes to dwells of 100 frames.
    cycle = [0] * 100 + [1] * 100 + [0, 1] * 20
    data = States(np.array(cycle * 10), 2, 0.5, "ns")
    made = compare(data, {"again": data})
    assert typical_dwells(made.reference) == [pytest.approx(50), pytest.approx(50, abs=1)]
    index = commit_index(made)
    # A seventh of 100 frames: of 1, 2, 5, 10, 20, 50 ... nearest on the logarithmic scale is 20.
    assert made.reference.transitions.commit_times[index] == 20


def test_twenty_pairs_and_long_names_give_one_panel_each(tmp_path):
    data = chain(ring(5, 0.4), 1500, 0)
    names = [f"a rather long name of group {k}" for k in range(5)]
    grouping = group_by_list(data, range(5), names=names)
    other = chain(ring(5, 0.4), 1500, 1)
    page, _ = saved(compare(data, {"x" * 200: other}, grouping=grouping), tmp_path, {})
    pairs = [i for i in page.images if i["alt"].startswith("Rate over commit time")]
    assert len(pairs) == 20
    assert (tmp_path / "index.html").stat().st_size < 3_000_000


def test_values_without_a_plain_form_are_kept_as_text(comparison, tmp_path):
    how = {"when": complex(1, 2), "folder": tmp_path, "nothing": None, "nan": float("nan")}
    expected = {"when": "(1+2j)", "folder": str(tmp_path), "nothing": None, "nan": None}
    assert plain(collect_results(comparison, how)["how"]) == expected


def test_a_folder_that_cannot_be_written_is_said_so(comparison, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        save_report(comparison, tmp_path / "file" / "report", {})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0714, "0.0714"),
        (31.94, "31.9"),
        (1234567.0, "1.23×10⁶"),
        (12345.0, "12,345"),
        (0.00025, "2.50×10⁻⁴"),
        (-0.5, "−0.500"),
        (0, "0"),
        (None, "–"),
        (float("nan"), "–"),
        (float("inf"), "∞"),
        (9.999, "10.0"),
        (999.6, "1,000"),
    ],
)
def test_numbers_are_written_with_three_digits(value, text):
    assert number(value) == text


def test_words_for_intervals_times_and_lists():
    assert interval(0.0631, 0.0797) == "[0.063, 0.080]"
    assert interval(float("nan"), 1.0) == ""
    assert elapsed(4.21) == "4.2 s"
    assert elapsed(200) == "3 min 20 s"
    assert elapsed(3.2 * 3600) == "3 h 12 min"
    assert listed(["a"]) == "a"
    assert listed(["a", "b", "c"]) == "a, b and c"
    assert physical_time(1, 1.0, "frame") == "1 frame"
    assert physical_time(400_000, 0.1, "ms") == "40,000 ms"


def test_wide_tables_scroll_in_their_own_box(report):
    html = report[0].html
    assert len(re.findall("<table", html)) == len(re.findall('class="scroll"><table', html)) == 5
    assert '<meta name="viewport" content="width=device-width' in html


def test_the_page_says_what_the_groups_are():
    states = chain(ring(4, 0.2), 2000, 0)
    # The last state is never visited.
    states = replace(states, n_states=5, centers=np.arange(5.0)[:, None])
    grouping = group_by_edges(states, [0.5])
    facts = dict(data_facts(compare(states, {"MSM": fit_msm(states)}, grouping, n_runs=1)))
    assert facts["Group 0"] == "centres 0"
    assert facts["Group 1"] == "centres 1 to 3"


def test_groups_that_pcca_finds_in_noise_alone_are_told(comparison):
    assert grouping_warning(comparison) == ""
    shares = replace(comparison.reference.group_free_energy, populations=np.array([0, 0.9, 0.1]))
    reference = replace(comparison.reference, group_free_energy=shares)
    grouping = replace(comparison.grouping, method="pcca")
    lost = replace(comparison, reference=reference, grouping=grouping)
    assert "PCCA+ made group 0 of 0 of the frames" in grouping_warning(lost)
    assert "Choose the thresholds" in grouping_warning(lost)


BIASED = "C holds the bias column metad.bias: biased data is not equilibrium data"


def in_a_plane(n_states=15, n=3000, columns=("x", "y")):
    """Return k-means states in two columns, the last never visited, read from a biased run."""
    centers = np.random.default_rng(1).normal(size=(n_states, len(columns)))
    notes = (Note(BIASED, "bias"), Note("cut at a gap"))
    how = Discretization(Clustering(tuple(map(tuple, centers))), tuple(columns), notes=notes)
    states = chain(ring(n_states - 1, 0.4), n, 0)
    return States(states.trajectories, n_states, 0.5, "ns", centers, how)


@pytest.fixture(scope="module")
def plane():
    data = in_a_plane()
    grouping = group_by_list(data, [0] * 3 + [1] * 9 + [0] * 3, names=("left", "right"))
    made = compare(data, {"LSTM": data, "MSM": fit_msm(data)}, grouping, n_runs=2)
    vectors = np.random.default_rng(0).normal(size=(15, 4)).astype(np.float32)
    record = replace(LSTM_RECORD, direction=Direction(True, 0.5))
    training = replace(made.models[0].trainings[0], record=record)
    lstm = replace(made.models[0], trainings=(training,), embedding=vectors)
    return replace(made, models=(lstm, *made.models[1:]))


@pytest.fixture(scope="module")
def plane_page(plane, tmp_path_factory):
    return saved(plane, tmp_path_factory.mktemp("plane"), {})[0]


def test_biased_data_is_told_of_above_everything_and_other_notes_one_by_one(plane_page):
    html = plane_page.html
    assert html.index(BIASED) < html.index('class="lead"')
    assert html.count(BIASED) == 1
    assert "<li>cut at a gap</li>" in html


def test_states_in_several_columns_are_listed_with_their_groups(plane, plane_page):
    table = state_table(plane)
    assert table.columns == ("x", "y")
    assert [row.group for row in table.rows] == ["left"] * 6 + ["right"] * 9
    assert [row.state for row in table.rows] == [0, 1, 2, 12, 13, 14, *range(3, 12)]
    for row in table.rows:
        assert row.center == tuple(plane.space.centers[row.state])
        assert row.share == plane.reference.free_energy.populations[row.state]
    assert "The states of each group" in plane_page.text
    assert number(table.rows[3].center[1]) in plane_page.text
    # State 14 was never visited.
    left, right = plane.grouping.group_centers
    for name, n, place in (("left", 5, left), ("right", 9, right)):
        assert (
            f"{name}: {n} states about x {number(place[0])}, y {number(place[1])}"
            in groups_line(plane)
        )
    alts = [image["alt"] for image in plane_page.images]
    assert "Free energy over x and y, data and models on one scale" in alts
    # The coordinate that tells the groups apart, not the number of the state, is correlated.
    assert re.search(r"How fast [xy] is forgotten", plane_page.text)
    assert "numbers have no order" not in plane_page.text


def test_numbers_of_states_without_centres_are_said_to_have_no_order(report):
    assert "numbers have no order" in report[0].text


def test_time_constants_shorter_than_a_frame_are_said_to_be():
    bounds = np.array([1e-13, 6.0]), np.array([1e11, 9.0])
    fit = ExponentialMixture(
        np.array([0.004, 7.0]), np.array([0.13, 0.87]), *bounds, *bounds, -1.0, 0.95, "s"
    )
    assert exponentials(fit, 0.2) == "below 0.2 (13%); 7.00 [6.00, 9.00] (87%)"


def test_states_on_one_coordinate_or_without_centres_need_no_table(comparison, tmp_path):
    assert state_table(comparison) is None
    assert groups_line(comparison) == "3 states, each compared as it is"
    three = in_a_plane(6, columns=("a", "b", "c"))
    page, _ = saved(compare(three, {"x": three}), tmp_path, {})
    assert not any("Map of the states of the data" in image["alt"] for image in page.images)


def test_the_page_says_where_a_training_was_stopped_and_how_it_was_set(plane_page):
    assert "LSTM: stopped at epoch 2, the most allowed, while still improving" in plane_page.text
    assert "as the data is, see direction" in plane_page.text
    assert re.search(r"lag</span> 1 frame|<dt>lag</dt><dd>\s*1 frame", plane_page.html)


def test_packages_that_were_not_used_are_not_listed(comparison, monkeypatch):
    monkeypatch.delitem(sys.modules, "openmm", raising=False)
    assert "openmm" not in collect_results(comparison, {})["versions"]


def test_what_is_said_of_the_commit_time_fits_it(report, comparison, tmp_path):
    page, _ = report
    assert "shorter stays in between are skipped" in page.text
    assert "near a seventh of the typical dwell" in page.text
    # Stays of one frame leave the shortest commit time only.
    data = States(np.arange(3000) % 3, 3, 1.0, "ns")
    page, _ = saved(compare(data, {"again": data}), tmp_path, {})
    assert "near a seventh" not in page.text
    assert "In groups 0, 1 and 2 every stay lasts one frame" in page.text
    assert not any("Survival" in image["alt"] for image in page.images)
    assert "enters no group" not in page.text


def test_stretches_are_named_by_what_they_are(report):
    page, _ = report
    assert any("The first 500 ns" in picture for picture in page.drawn)
    assert "A stretch" not in page.text
    assert "random stretches" not in page.text


def test_the_interval_of_d_is_said_to_be_that_of_the_generation(report):
    page, _ = report
    assert "The interval of D of one training is that of the generation only" in page.text
    assert "rate constantof the data" in page.text.replace("\n", "")
