"""Molecular trajectories as OpenMM writes them: features in, structures out."""

import os
import warnings
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from trajlm.cli import run
from trajlm.data import Features, States
from trajlm.discretize import KMeans, NearestCenters, average, decimate
from trajlm.discretize import smooth as running_mean
from trajlm.errors import InputError, TrajlmWarning
from trajlm.io import read_features, read_md, write_states
from trajlm.io.md import trajectories
from trajlm.io.md.backmap import backmap
from trajlm.provenance import Discretization, RunningMean
from trajlm.systems.alanine import dihedral
from trajlm.util.atomic import OutputError

mdtraj = pytest.importorskip("mdtraj")
openmm = pytest.importorskip("openmm")

PDB = str(resources.files("trajlm.systems").joinpath("alanine_dipeptide.pdb"))
N_FRAMES = 40
FRAME_PS = 0.04
# Atoms of phi and psi, read off the PDB file.
PHI, PSI = (4, 6, 8, 10), (6, 8, 10, 16)


def alanine_simulation():
    """Return alanine dipeptide in vacuum at 450 K, always the same."""
    from openmm import app

    pdb = app.PDBFile(PDB)
    system = app.ForceField("amber96.xml").createSystem(pdb.topology, constraints=app.HBonds)
    integrator = openmm.LangevinMiddleIntegrator(450, 1, 0.002)
    integrator.setRandomNumberSeed(1)
    platform = openmm.Platform.getPlatformByName("Reference")
    simulation = app.Simulation(pdb.topology, system, integrator, platform)
    simulation.context.setPositions(pdb.positions)
    simulation.context.setVelocitiesToTemperature(450, 1)
    return simulation


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write one short simulation with every reporter, and keep its exact coordinates."""
    from mdtraj.reporters import HDF5Reporter, NetCDFReporter
    from openmm import app, unit

    folder = tmp_path_factory.mktemp("md")
    simulation = alanine_simulation()
    every = round(FRAME_PS / 0.002)
    closing = [HDF5Reporter(f"{folder}/t.h5", every), NetCDFReporter(f"{folder}/t.nc", every)]
    simulation.reporters += [
        app.DCDReporter(f"{folder}/t.dcd", every), app.XTCReporter(f"{folder}/t.xtc", every),
        *closing,
    ]  # fmt: skip
    xyz = []
    for _ in range(N_FRAMES):
        simulation.step(every)
        positions = simulation.context.getState(positions=True).getPositions(asNumpy=True)
        xyz.append(positions.value_in_unit(unit.nanometer))
    for reporter in closing:
        reporter.close()
    simulation.reporters.clear()
    mdtraj.load(f"{folder}/t.h5").save_trr(f"{folder}/t.trr")
    np.save(folder / "xyz.npy", np.array(xyz))
    return folder


@pytest.fixture(scope="module")
def long_run(tmp_path_factory):
    """Write 2300 frames 0.04 ps apart."""
    from openmm import app

    simulation = alanine_simulation()
    path = tmp_path_factory.mktemp("run") / "long.xtc"
    simulation.reporters.append(app.XTCReporter(str(path), round(FRAME_PS / 0.002)))
    simulation.step(2300 * round(FRAME_PS / 0.002))
    simulation.reporters.clear()
    return str(path)


@pytest.fixture(scope="module")
def xyz(folder):
    return np.load(folder / "xyz.npy")


def angles(xyz, atoms):
    return dihedral(*(xyz[:, a] for a in atoms))


FORMATS = ["xtc", "trr", "nc", "h5", "dcd"]


@pytest.mark.parametrize("suffix", FORMATS)
def test_features_of_every_format_are_those_of_the_simulation(folder, xyz, suffix, monkeypatch):
    # A few frames a chunk, so that the borders of chunks are crossed.
    monkeypatch.setattr(trajectories, "CHUNK_BYTES", 22 * 12 * 7)
    top = None if suffix == "h5" else PDB
    dt = FRAME_PS if suffix == "dcd" else None
    features = read_md(
        folder / f"t.{suffix}", top, ["phi", "psi", "4-6-8-10"], ["name CA, name CH3"], dt=dt
    )
    assert features.names[:3] == ("phi", "psi", "dihedral_4-6-8-10")
    assert (features.dt, features.unit) == (pytest.approx(FRAME_PS), "ps")
    assert features.periods == ((-np.pi, np.pi),) * 3 + (None,) * (features.n_columns - 3)
    (values,) = features.trajectories
    assert len(values) == N_FRAMES
    # An xtc file rounds coordinates to 0.001 nm.
    precise = 0.02 if suffix == "xtc" else 1e-4
    for column, atoms in ((0, PHI), (1, PSI), (2, PHI)):
        difference = values[:, column] - angles(xyz, atoms)
        assert np.abs(np.angle(np.exp(1j * difference))).max() < precise
    ends = [a.index for a in mdtraj.load_topology(PDB).atoms if a.name == "CH3"]
    exact = np.linalg.norm(xyz[:, [8]] - xyz[:, ends], axis=-1)
    np.testing.assert_allclose(values[:, 3:], exact, atol=2e-3 if suffix == "xtc" else 1e-5)


def kabsch(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    u, s, vt = np.linalg.svd(x.T @ y)
    s[-1] *= np.sign(np.linalg.det(u @ vt))
    return np.sqrt(max((x**2).sum() + (y**2).sum() - 2 * s.sum(), 0) / len(x))


def test_rmsd_is_that_after_the_best_superposition(folder, xyz):
    features = read_md(folder / "t.h5", rmsd=PDB, rmsd_atoms="backbone")
    atoms = mdtraj.load_topology(PDB).select("backbone")
    reference = mdtraj.load(PDB).xyz[0, atoms].astype(float)
    exact = [kabsch(frame[atoms], reference) for frame in xyz]
    np.testing.assert_allclose(features.trajectories[0][:, 0], exact, atol=2e-4)


def test_angles_stay_in_their_period_in_single_precision(tmp_path):
    """A planar chain has a dihedral of pi, which is above pi in single precision."""
    flat = np.zeros((3, 22, 3), np.float32)
    flat[:, [4, 6, 8, 10], :2] = [[1, 1], [0, 0], [1, 0], [0, -1]]
    flat /= 8  # bonds of 0.125 nm
    topology = mdtraj.load_topology(PDB)
    mdtraj.Trajectory(flat, topology, time=[0, 1, 2]).save_hdf5(str(tmp_path / "flat.h5"))
    features = read_md(tmp_path / "flat.h5", dihedrals=["phi"])
    assert (features.trajectories[0] == -np.pi).all()


def test_several_files_are_several_trajectories(folder):
    features = read_md([folder / "t.xtc", folder / "t.nc"], PDB, ["phi"])
    assert [len(x) for x in features.trajectories] == [N_FRAMES] * 2


def with_times(folder, tmp_path, times):
    frames = mdtraj.load(str(folder / "t.h5"))[: len(times)]
    frames.time = np.array(times, dtype=np.float32)
    frames.save_xtc(str(tmp_path / "t.xtc"))
    return tmp_path / "t.xtc"


@pytest.mark.parametrize(
    ("times", "says"),
    [
        ([0, 1, 2, 1, 2], r"frame 3: the time goes back from 2 ps to 1 ps"),
        ([0, 1, 2, 2, 3], r"frame 3: the time stands still at 2 ps"),
        ([0, 1, 2, 2.5, 3.5], r"frame 3: .* a step of 1 was expected; give dt"),
        ([0, 0.2, 0.4, 0.2], r"back from 0.4 ps to 0.2 ps"),
        ([0, 0, 0, 0], r"does not say the time between its frames: give dt"),
    ],
)
def test_time_that_cannot_be_trusted_is_refused(folder, tmp_path, times, says):
    with pytest.raises(InputError, match=says):
        read_md(with_times(folder, tmp_path, times), PDB, ["phi"])


@pytest.mark.parametrize(("begin", "dt"), [(2e6, 0.2), (1.6e6, 0.16), (3e6, 0.1)])
def test_frames_of_a_long_run_are_evenly_spaced_in_single_precision(folder, tmp_path, begin, dt):
    path = with_times(folder, tmp_path, begin + dt * np.arange(N_FRAMES))
    features = read_md(path, PDB, ["phi"], dt=dt)
    assert (features.dt, len(features.trajectories), features.notes) == (dt, 1, ())


def test_a_trajectory_is_cut_where_frames_are_missing(folder, tmp_path):
    path = with_times(folder, tmp_path, [0, 1, 2, 4, 5])
    with pytest.warns(TrajlmWarning, match="1 gap.* frame 3 from 2 ps to 4 ps"):
        features = read_md(path, PDB, ["phi"])
    assert [len(x) for x in features.trajectories] == [3, 2]
    assert (features.dt, features.unit) == (1, "ps")


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({}, "nothing to compute"),
        ({"dihedrals": ["tau"]}, "phi, psi"),
        ({"dihedrals": ["chi1"]}, "no residue"),
        ({"dihedrals": ["1-2-3-99"]}, "no atom 99"),
        ({"dihedrals": ["phi", "phi"]}, "twice"),
        ({"distances": ["name CA"]}, "one atom only"),
        ({"distances": ["name CA, name N, name C"]}, "3 selections"),
        ({"distances": ["residue nonsense ("]}, "not one of mdtraj's"),
        ({"distances": ["name ZZ, name CA"]}, "finds no atom; residues are ACE1"),
        ({"rmsd": "PDB", "rmsd_atoms": "name CA"}, "3 are needed"),
    ],
)
def test_selections_that_find_nothing_are_refused(folder, wanted, says):
    if wanted.get("rmsd"):
        wanted = {**wanted, "rmsd": PDB}
    with pytest.raises(InputError, match=says):
        read_md(folder / "t.xtc", PDB, **wanted)


def test_files_that_cannot_be_read_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="holds no atom names"):
        read_md(folder / "t.xtc", None, ["phi"])
    with pytest.raises(InputError, match="give dt in ps"):
        read_md(folder / "t.dcd", PDB, ["phi"])
    with pytest.raises(InputError, match="does not exist"):
        read_md(tmp_path / "no.xtc", PDB, ["phi"])
    (tmp_path / "t.gsd").write_text("x")
    with pytest.raises(InputError, match="convert it"):
        read_md(tmp_path / "t.gsd", PDB, ["phi"])
    with pytest.raises(InputError, match="cannot be read as a topology"):
        read_md(folder / "t.xtc", folder / "t.dcd", ["phi"])
    other = mdtraj.load(PDB).atom_slice(range(20))
    other.save_pdb(str(tmp_path / "other.pdb"))
    for suffix in FORMATS:
        with pytest.raises(InputError, match=r"has 22 atoms .* has 20, that of another system"):
            read_md(folder / f"t.{suffix}", tmp_path / "other.pdb", ["phi"])
    for name in ("topol.tpr", "topol.top"):
        (tmp_path / name).write_text("x")
        with pytest.raises(InputError, match=r"input of GROMACS .*: give conf.gro or a PDB"):
            read_md(folder / "t.xtc", tmp_path / name, ["phi"])
    (tmp_path / "top.xyz").write_text("x")
    with pytest.raises(InputError, match=r"format is not supported\): give a PDB"):
        read_md(folder / "t.xtc", tmp_path / "top.xyz", ["phi"])


@pytest.mark.parametrize("suffix", ["xtc", "trr"])
def test_frames_of_another_system_further_on_are_told_by_number(folder, tmp_path, suffix):
    part = mdtraj.load(str(folder / "t.h5")).atom_slice(range(20))
    part.save(str(tmp_path / f"part.{suffix}"))
    joined = tmp_path / f"joined.{suffix}"
    pieces = [folder / f"t.{suffix}", tmp_path / f"part.{suffix}"]
    joined.write_bytes(b"".join(piece.read_bytes() for piece in pieces))
    with pytest.raises(InputError, match="frame 40 has 20 atoms but the frames before it have 22"):
        read_md(joined, PDB, ["phi"])


def test_dt_given_is_held_against_that_of_the_file(folder):
    with pytest.warns(TrajlmWarning, match=r"says 0.04 ps a frame, but 1 ps as given is used"):
        assert read_md(folder / "t.xtc", PDB, ["phi"], dt=1.0).dt == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_md(folder / "t.dcd", PDB, ["phi"], dt=1.0, unit="ns").unit == "ns"


def test_reading_dcd_leaves_standard_output_clean(folder, capfd):
    print("before")
    read_md(folder / "t.dcd", PDB, ["phi"], dt=FRAME_PS)
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "before\nafter\n"


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_trajectory_cut_short_is_refused_or_read_as_far_as_it_goes(folder, tmp_path, suffix):
    whole = (folder / f"t.{suffix}").read_bytes()
    path = tmp_path / f"t.{suffix}"
    for share in (0.02, 0.5, 0.97):
        path.write_bytes(whole[: int(share * len(whole))])
        try:
            n_frames = read_md(path, PDB, ["phi"], dt=FRAME_PS).n_frames
        except InputError:
            n_frames = 0
        assert n_frames < N_FRAMES


def test_features_command(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ["features", str(folder / "t.xtc"), str(folder / "t.xtc"), "--top", PDB]
    assert run([*command, "--dihedrals", "phi, psi", "--rmsd", PDB, "--out", "f.npz"]) == 0
    features = read_features("f.npz")
    assert features.names == ("phi", "psi", "rmsd")
    assert len(features.trajectories) == 2
    assert run(["discretize", "f.npz", "--column", "phi", "--bins", "5", "--out", "s.npz"]) == 0
    numbers = ",".join(f"{k}-{k + 1}-{k + 2}-{k + 3}" for k in range(10))
    assert run([*command, "--dihedrals", numbers, "--out", "many.npz"]) == 0
    assert "(10 columns: trajlm info many.npz lists them)" in capsys.readouterr().out
    assert run(["info", "many.npz"]) == 0
    assert "dihedral_9-10-11-12: " in capsys.readouterr().out
    assert run(["info", str(folder / "t.xtc")]) == 2
    assert "(trajlm features)" in capsys.readouterr().err
    assert run([*command, "--out", "f.txt"]) == 2
    assert run([*command, "--out", "g.npz"]) == 2
    assert "nothing to compute" in capsys.readouterr().err


# ---------------------------------------------------------------- structures out


@pytest.fixture(scope="module")
def states(folder):
    return States((np.arange(N_FRAMES) % 4, np.arange(N_FRAMES) // 10), 5, FRAME_PS, "ps")


@pytest.mark.parametrize("smooth", [False, True])
@pytest.mark.parametrize("suffix", ["xtc", "trr", "dcd"])
def test_every_frame_was_in_the_generated_state(folder, states, tmp_path, smooth, suffix):
    lane = np.random.default_rng(0).integers(4, size=60)
    sources = [folder / "t.h5", folder / "t.nc"]
    out = tmp_path / f"gen.{suffix}"
    written = backmap(lane, states, sources, out, smooth=smooth, seed=3)
    found = [
        states.trajectories[i][f] for i, f in zip(written.trajectory, written.frame, strict=True)
    ]
    np.testing.assert_array_equal(found, lane)
    frames = mdtraj.load(str(out), top=str(written.structure))
    assert len(frames) == 60
    original = mdtraj.join([mdtraj.load(str(folder / "t.h5"))] * 2)[
        written.trajectory * N_FRAMES + written.frame
    ]
    # Superposed, they are the structures that they say they are.
    for k in (0, 30, 59):
        assert mdtraj.rmsd(frames[k], original[k])[0] < 2e-3
    again = backmap(lane, states, sources, tmp_path / f"2.{suffix}", smooth=smooth, seed=3)
    np.testing.assert_array_equal(again.frame, written.frame)


def test_smooth_structures_jump_less(folder, xyz, states, tmp_path):
    lane = np.repeat(np.random.default_rng(0).integers(4, size=20), 5)

    def jump(smooth):
        written = backmap(lane, states, [folder / "t.h5"] * 2, tmp_path / "g.xtc", smooth=smooth)
        frames = mdtraj.load(str(tmp_path / "g.xtc"), top=str(written.structure))
        return np.mean([mdtraj.rmsd(frames[k], frames[k - 1])[0] for k in range(1, 100)])

    assert jump(True) < 0.8 * jump(False)


@pytest.mark.parametrize("n", [20, 100])
def test_smooth_structures_move_as_those_of_the_data_do(long_run, n, tmp_path):
    """Of states that another part of the run visits, so that the path is new to the data."""
    features = read_md(long_run, PDB, ["phi", "psi"])
    data, other = (replace(features, trajectories=(x,)) for x in np.split(features[0], [2000]))
    cut = KMeans(n).fit(data)
    mdtraj.load(long_run, top=PDB)[:2000].save_xtc(str(tmp_path / "data.xtc"))
    lane = cut.transform(other)[0][:300]

    def step(file, frames):
        run_of = mdtraj.load(file, top=PDB)[frames]
        heavy = run_of.topology.select("element != H")
        squares = [mdtraj.rmsd(run_of[k], run_of[k - 1], atom_indices=heavy)[0] ** 2
                   for k in range(1, len(run_of))]  # fmt: skip
        return np.sqrt(np.mean(squares))

    def of_generated(smooth):
        out = str(tmp_path / "g.xtc")
        backmap(lane, cut.transform(data), tmp_path / "data.xtc", out, PDB, smooth=smooth)
        return step(out, slice(None))

    own = step(long_run, slice(2000, 2300))
    assert 0.9 * own < of_generated(smooth=True) < 1.25 * own
    assert of_generated(smooth=False) > 1.35 * own


def test_only_some_atoms_and_frames(folder, states, tmp_path):
    written = backmap(
        np.arange(100) % 4, states, [folder / "t.xtc"] * 2, tmp_path / "g.xtc", PDB,
        atoms="backbone", every=10,
    )  # fmt: skip
    frames = mdtraj.load(str(tmp_path / "g.xtc"), top=str(written.structure))
    assert len(frames) == 10
    assert frames.n_atoms == len(mdtraj.load_topology(PDB).select("backbone"))
    np.testing.assert_allclose(np.diff(frames.time), 10 * FRAME_PS, rtol=1e-4)


def test_a_running_mean_shifts_the_frames(folder, xyz, tmp_path):
    smoothed = States(
        (np.arange(N_FRAMES - 4) // 9,), dt=FRAME_PS, unit="ps",
        discretization=Discretization(steps=(RunningMean(5),)),
    )  # fmt: skip
    written = backmap(np.zeros(50, int), smoothed, folder / "t.xtc", tmp_path / "g.xtc", PDB)
    assert set(written.frame) == set(range(2, 11))


@pytest.mark.parametrize(
    "filters",
    [
        [(average, 5)],
        [(decimate, 4)],
        [(average, 2), (decimate, 3)],
        [(decimate, 3), (average, 2), (running_mean, 3)],
        [(running_mean, 4), (average, 3)],
    ],
)
def test_states_of_filtered_data_are_led_back_to_their_frames(
    filters, folder, tmp_path, monkeypatch
):
    numbers = Features((np.arange(float(N_FRAMES)),), dt=FRAME_PS, unit="ps")
    for change, n in filters:
        numbers = change(numbers, n)
    frames = numbers.trajectories[0][:, 0]
    # One state a frame that is left, so that each must come from the middle of its own frames.
    cut = NearestCenters(frames).fit_transform(numbers)
    write_states(tmp_path / "s.npz", cut)
    np.save(tmp_path / "g.npy", np.arange(len(frames)))
    command = ["backmap", "g.npy", "--from", folder / "t.xtc", "--states", "s.npz"]
    monkeypatch.chdir(tmp_path)
    assert run([*map(str, command), "--out", "g.xtc", "--top", str(PDB)]) == 0
    written = backmap(np.arange(len(frames)), cut, folder / "t.xtc", tmp_path / "g.dcd", PDB)
    np.testing.assert_array_equal(written.frame, np.floor(np.round(frames, 6)))
    shorter = replace(cut, trajectories=(cut.trajectories[0][:-1],))
    with pytest.raises(InputError, match="of which filters leave"):
        backmap(np.zeros(5, int), shorter, folder / "t.xtc", tmp_path / "x.dcd", PDB)


def test_a_state_never_seen_repeats_the_frame_before(folder, states, tmp_path):
    lane = np.array([0, 4, 4, 1])
    for smooth in (False, True):
        with pytest.warns(TrajlmWarning, match="2 of 4"):
            written = backmap(
                lane, states, [folder / "t.h5"] * 2, tmp_path / "g.dcd", smooth=smooth
            )
        assert len(set(written.frame[:3])) == 1


def test_what_does_not_fit_is_refused_and_nothing_is_left(folder, states, tmp_path):
    lane, files = np.zeros(10, int), [folder / "t.h5"] * 2
    for arguments, says in (
        ((np.array([5]), states, files, tmp_path / "g.xtc"), "same states"),
        ((lane, states, files[:1], tmp_path / "g.xtc"), "1 file was given"),
        ((lane, states, files, tmp_path / "g.gro"), "ends in none"),
        ((lane, States((np.arange(9),) * 2), files, tmp_path / "g.xtc"), "has 40 frames"),
    ):
        with pytest.raises(InputError, match=says):
            backmap(*arguments)
    (tmp_path / "g.xtc").mkdir()
    with pytest.raises(OutputError):
        backmap(lane, states, files, tmp_path / "g.xtc")
    assert [p.name for p in tmp_path.iterdir()] == ["g.xtc"]


def test_backmap_command(folder, states, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_states("s.npz", states)
    np.save("g.npy", np.zeros((2, 50), int))
    source = str(folder / "t.h5")
    command = ["backmap", "g.npy", "--from", source, "--from", source, "--states", "s.npz"]
    assert run([*command, "--out", "gen.xtc", "--frames", "20", "--smooth"]) == 0
    assert "20 frames" in capsys.readouterr().out
    assert run([*command, "--out", "gen.xtc", "--lane", "2"]) == 2
    assert "no lane 2" in capsys.readouterr().err
    given = ["--states", "s.npz", "--frames", "20", "--out", "two.xtc"]
    assert run(["backmap", "g.npy", "--from", source, source, *given]) == 0
    assert run(["backmap", "g.npy", *["--from", source, source] * 2, *given]) == 2
    assert "after one --from" in capsys.readouterr().err


def test_structures_of_each_group_are_frames_of_it(folder, xyz, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels = np.arange(N_FRAMES) // 10
    write_states("s.npz", States((labels,), 5, FRAME_PS, "ps"))
    given = ["s.npz", "--from", str(folder / "t.h5"), "--group", "list:0,0,1,2,3", "--out", "g"]
    assert run(["structures", *given, "--frames", "7"]) == 0
    assert sorted(p.name for p in (tmp_path / "g").glob("[0-9]*")) == [
        f"{k}.{end}" for k in range(3) for end in ("pdb", "xtc")
    ]  # group 3 was never visited
    out = capsys.readouterr().out
    assert "7 frames of 0, 50.00% of the data" in out
    run_of = mdtraj.load(str(folder / "t.h5"))
    for k, frames in enumerate([range(20), range(20, 30), range(30, 40)]):
        found = mdtraj.load(f"g/{k}.xtc", top=f"g/{k}.pdb")
        assert len(found) == 7
        for frame in found:
            nearest = np.argmin(mdtraj.rmsd(run_of, frame))
            assert nearest in frames
    assert run(["structures", *given, "--group", "pcca:99"]) == 2


def test_backmap_finds_the_frames_of_a_trajectory_with_a_gap(folder, tmp_path):
    times = np.arange(N_FRAMES) + 10.0 * (np.arange(N_FRAMES) >= 15)
    path = with_times(folder, tmp_path, times)
    with pytest.warns(TrajlmWarning, match="1 gap"):
        features = read_md(path, PDB, ["phi"])
    states = States([(np.arange(len(x)) + 15 * i).astype(int) for i, x in enumerate(features)])
    lane = np.array([3, 14, 15, 39, 20])
    written = backmap(lane, states, [path], tmp_path / "g.xtc", PDB)
    assert written.frame.tolist() == lane.tolist()
    assert written.trajectory.tolist() == [0] * 5


def test_a_gap_in_a_chain_is_no_dihedral(tmp_path):
    """Three residues of N, CA and C; between the second and the third others are missing."""
    topology = mdtraj.Topology()
    chain = topology.add_chain()
    for _ in range(3):
        residue = topology.add_residue("ALA", chain)
        for name in ("N", "CA", "C"):
            topology.add_atom(name, mdtraj.element.Element.getBySymbol(name[0]), residue)
    x = np.arange(9) * 0.12 + 2.0 * (np.arange(9) >= 6)
    xyz = np.stack([x, 0.05 * (np.arange(9) % 2), 0.05 * (np.arange(9) % 3)], axis=1)
    frames = mdtraj.Trajectory(np.repeat(xyz[None], 5, axis=0), topology, time=np.arange(5))
    frames[0].save_pdb(str(tmp_path / "t.pdb"))
    frames.save_xtc(str(tmp_path / "t.xtc"))
    with pytest.warns(TrajlmWarning, match=r"phi of ALA2 was left out.*residues are missing"):
        features = read_md(tmp_path / "t.xtc", tmp_path / "t.pdb", ["phi"])
    assert features.names == ("phi",)
    assert "left out" in features.notes[0].text


def test_superposition_is_right_in_double_precision():
    """Oracle: the rotations that the frames were turned by; scipy's own for noisy ones."""
    from scipy.spatial.transform import Rotation

    from trajlm.io.md.superpose import rmsd, superposed

    rng = np.random.default_rng(0)
    reference = rng.normal(size=(22, 3))
    turns = Rotation.random(2000, rng=rng)
    frames = np.array([turn.apply(reference) + rng.normal(size=3) for turn in turns])
    atoms = np.arange(3, 20)
    back = superposed(frames.astype(np.float32), reference.astype(np.float32), atoms)
    assert np.abs(back - reference).max() < 2e-6
    assert rmsd(frames, reference).max() < 1e-6
    noisy = frames[:50] + rng.normal(scale=0.3, size=(50, 22, 3))
    moved = superposed(noisy, reference, np.arange(22))
    for x, y, d in zip(noisy, moved, rmsd(noisy, reference), strict=True):
        a, b = x - x.mean(axis=0), reference - reference.mean(axis=0)
        _, found = Rotation.align_vectors(b, a)
        assert np.sqrt(((y - reference) ** 2).sum(axis=1).mean()) == pytest.approx(d)
        assert d == pytest.approx(found / np.sqrt(22))
