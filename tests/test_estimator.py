"""The estimator of the language model, and data as arrays wherever data is taken."""

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import trajlm
from trajlm import analysis

QUICK = {"hidden_dim": 8, "embedding_dim": 4, "epochs": 1, "window": 20}
STATES = trajlm.States(np.random.default_rng(0).integers(0, 3, 600), centers=[-1.0, 0.0, 1.0])
ARRAY = STATES[0].astype(np.int64)
SOURCE = Path(trajlm.__file__).parent


def test_signature_and_settings_agree():
    parameters = dict(inspect.signature(trajlm.LSTMEstimator).parameters)
    apart = {name: parameters.pop(name).default for name in ("n_models", "device", "n_threads")}
    assert apart == {"n_models": 1, "device": "cpu", "n_threads": None}
    fields = trajlm.TrainingSettings.model_fields
    assert {name: p.default for name, p in parameters.items()} == {
        name: field.default for name, field in fields.items()
    }
    hints = inspect.get_annotations(trajlm.LSTMEstimator.__init__, eval_str=True)
    assert {name: hints[name] for name in fields} == {n: f.annotation for n, f in fields.items()}
    assert all(p.kind is p.KEYWORD_ONLY for p in parameters.values())
    for name in (*fields, *apart):
        assert re.search(rf"^    {name}$", trajlm.LSTMEstimator.__doc__, re.MULTILINE)


def test_settings_that_do_not_fit_are_refused_and_unknown_ones_are_no_arguments():
    with pytest.raises(trajlm.InputError, match="hidden_dim = 0"):
        trajlm.LSTMEstimator(hidden_dim=0)
    with pytest.raises(TypeError, match="hidden"):
        trajlm.LSTMEstimator(hidden=3)
    estimator = trajlm.LSTMEstimator(**QUICK)
    with pytest.raises(trajlm.InputError, match="no parameter 'hidden'"):
        estimator.set_params(hidden=3)
    with pytest.raises(trajlm.InputError, match="epochs"):
        estimator.set_params(epochs=0)
    assert estimator.get_params()["epochs"] == 1


def test_fit_returns_the_estimator_itself_and_a_clone_is_not_fitted():
    estimator = trajlm.LSTMEstimator(**QUICK, learning_rate=1.5e-3, seed=1234)
    assert estimator.fit(ARRAY.tolist()) is estimator
    assert estimator.has_model
    base = pytest.importorskip("sklearn.base")
    copied = base.clone(estimator)
    assert copied.get_params() == estimator.get_params()
    assert copied.settings == estimator.settings
    assert not copied.has_model
    with pytest.raises(trajlm.InputError, match="call fit first"):
        copied.fetch_model()
    assert not estimator.set_params(seed=1).has_model
    assert repr(estimator).startswith("LSTMEstimator(embedding_dim=4, hidden_dim=8")


GROUPS = analysis.group_by_list(STATES, [0, 0, 1])
MSM = trajlm.fit_msm(STATES)
TAKERS = {
    "populations": analysis.populations,
    "population_intervals": lambda s: analysis.population_intervals(s)[0],
    "free_energy": lambda s: analysis.free_energy(s).high,
    "dwell_times": lambda s: analysis.dwell_times(s, 1).durations,
    "autocorrelation": lambda s: analysis.autocorrelation(s, 10, values=[0, 1, 2]).values,
    "committed_transitions": lambda s: analysis.committed_transitions(s, [1, 2]).counts,
    "mean_first_passage_time": lambda s: analysis.mean_first_passage_time(s, 0, 2).mean,
    "transition_path_times": lambda s: analysis.transition_path_times(s, 0, 2).durations,
    "floor": lambda s: analysis.floor(s, [1, 2]).value,
    "blocks": lambda s: [len(b) for b in analysis.blocks(s, 4)],
    "group_by_list": lambda s: analysis.group_by_list(s, [0, 1, 1]).assignment,
    "group_by_pcca": lambda s: analysis.group_by_pcca(s, 2).n_groups,
    "apply": lambda s: GROUPS.apply(s)[0],
    "remove_spikes": lambda s: trajlm.remove_spikes(s, 1)[0],
    "fit_msm": lambda s: trajlm.fit_msm(s).transition_matrix,
    "fit_hmm": lambda s: trajlm.fit_hmm(s, 2).emission,
    "log_probs": lambda s: MSM.log_probs(s)[0],
    "log_prob": MSM.log_prob,
    "cross_entropy": MSM.cross_entropy,
    "start": lambda s: MSM.generate(9, 2, seed=1, start=s)[1],
    "train": lambda s: trajlm.train(s, trajlm.TrainingSettings(**QUICK)).weights.readout,
    "kinetics": lambda s: trajlm.kinetics(s).mfpt(0, 2).value,
    "compare": lambda s: (
        trajlm.compare(s, {"same": s, "MSM": MSM}, n_runs=2).models[0].discrepancy.value
    ),
}


@pytest.mark.parametrize("name", TAKERS)
def test_arrays_and_lists_are_taken_wherever_states_are(name):
    take = TAKERS[name]
    expected = take(trajlm.States(STATES))
    for data in (ARRAY, ARRAY.astype(np.uint8), ARRAY.tolist(), [ARRAY], ARRAY[None]):
        np.testing.assert_array_equal(take(data), expected)


@pytest.mark.parametrize(
    "take",
    [
        lambda x: trajlm.smooth(x, 3),
        lambda x: trajlm.average(x, 2),
        lambda x: trajlm.decimate(x, 2),
        lambda x: trajlm.Bins(4).fit(x).transform(x),
        lambda x: trajlm.KMeans(3).fit_transform(x),
        lambda x: trajlm.NearestCenters([-1, 1]).fit_transform(x),
    ],
)
def test_arrays_and_lists_are_taken_wherever_features_are(take):
    x = np.random.default_rng(1).normal(size=200)
    expected = take(trajlm.Features(x))
    for data in (x, x[:, None], [x], x.tolist()):
        assert take(data) == expected


def test_files_are_written_from_arrays(tmp_path):
    trajlm.write_states(tmp_path / "s.npz", [0, 1, 2])
    assert trajlm.read_states(tmp_path / "s.npz") == trajlm.States([0, 1, 2])
    trajlm.write_features(tmp_path / "x.npz", [0.5, 1.5])
    assert trajlm.read_features(tmp_path / "x.npz") == trajlm.Features([0.5, 1.5])


def test_ctrl_c_is_no_error_of_ours():
    assert issubclass(trajlm.Interrupted, KeyboardInterrupt)
    assert not issubclass(trajlm.Interrupted, Exception)

    def stop(record, baselines):
        raise KeyboardInterrupt

    def loop_over_seeds():
        for seed in range(3):
            try:
                trajlm.LSTMEstimator(**QUICK, seed=seed).fit(ARRAY, report=stop)
            except trajlm.TrajlmError:
                continue

    with pytest.raises(KeyboardInterrupt) as stopped:
        loop_over_seeds()
    assert isinstance(stopped.value, trajlm.Interrupted)
    assert not stopped.value.resumable


def test_words_of_deeptime_are_taken():
    one, two = trajlm.fit_msm(STATES, lag=2), trajlm.fit_msm(STATES, lagtime=2)
    np.testing.assert_array_equal(one.transition_matrix, two.transition_matrix)
    assert trajlm.fit_hmm(STATES, n_hidden_states=2).n_hidden == 2
    assert trajlm.KMeans(n_clusters=2).n_clusters == 2


def test_the_library_names_no_option_of_the_command_line():
    named = re.compile(
        r"""["'(\s]--[a-z][a-z-]+|trajlm (train|generate|discretize|compare|simulate|info)\b"""
    )
    rooms = [p for p in SOURCE.rglob("*.py") if not {"cli", "reproduce"} & set(p.parts)]
    assert len(rooms) > 100
    assert [p for p in rooms if named.search(p.read_text(encoding="utf-8"))] == []
