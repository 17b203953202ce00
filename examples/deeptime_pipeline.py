"""A deeptime pipeline with the language model in the place of the Markov state model.

A particle in Prinz's potential of four wells is discretised with deeptime's k-means. The Markov
state model and the language model are fitted to the same trajectories, and deeptime's plot of
implied timescales and its PCCA+ take both.

    python examples/deeptime_pipeline.py [FIGURE]
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from deeptime.clustering import KMeans
from deeptime.data import prinz_potential
from deeptime.markov import TransitionCountEstimator
from deeptime.markov.msm import MaximumLikelihoodMSM
from deeptime.plots import plot_implied_timescales
from deeptime.util.validation import implied_timescales

import trajlm

LAGS = (1, 2, 5, 10, 20)


def main(figure: str, n_frames: int = 20_000, epochs: int = 10) -> None:
    """Fit both models, print what they say, and draw their implied timescales."""
    rng = np.random.default_rng(0)
    system = prinz_potential(n_steps=100, h=1e-5)
    trajectories = [
        system.trajectory(np.array([[x]]), n_frames, seed=k + 1)
        for k, x in enumerate(rng.uniform(-1, 1, 2))
    ]
    clustering = KMeans(12, fixed_seed=1).fit(np.concatenate(trajectories)).fetch_model()
    dtrajs = [clustering.transform(x) for x in trajectories]

    # deeptime's own model
    counts = TransitionCountEstimator(lagtime=1, count_mode="sliding").fit_fetch(dtrajs)
    msm = MaximumLikelihoodMSM().fit_fetch(counts)

    # the same data, the same calls, another estimator
    model = trajlm.LSTMEstimator(hidden_dim=32, epochs=epochs, seed=0).fit_fetch(dtrajs)
    learned = trajlm.kinetics(model, n_runs=10, seed=1)
    measured = trajlm.kinetics(dtrajs)

    slowest = learned.timescales(lag=20, n=1)
    data = measured.timescales(lag=20, n=1)
    print(f"slowest timescale, MSM at lag 1: {msm.timescales()[0]:.0f} frames")
    print(f"  LSTM: {slowest.value[0]:.0f} [{slowest.low[0]:.0f}, {slowest.high[0]:.0f}]")
    print(f"  data: {data.value[0]:.0f} [{data.low[0]:.0f}, {data.high[0]:.0f}]")

    coarse = learned.markov_state_model(lag=20).pcca(2)
    left, right = (np.flatnonzero(coarse.assignments == k).tolist() for k in (0, 1))
    for name, source in (("LSTM", learned), ("data", measured)):
        passage = source.mfpt(left, right)
        print(
            f"{name}: {passage.value:.0f} [{passage.low:.0f}, {passage.high:.0f}] frames to cross"
        )

    _, axes = plt.subplots(1, 2, sharey=True, figsize=(8, 3))
    for ax, source, title in zip(axes, (measured, learned), ("data", "LSTM"), strict=True):
        models = [source.markov_state_model(lag) for lag in LAGS]
        plot_implied_timescales(implied_timescales(models), n_its=3, ax=ax)
        ax.set(title=title, xlabel="lag (frames)", yscale="log")
    axes[0].set_ylabel("implied timescale (frames)")
    plt.savefig(figure)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "timescales.png")
