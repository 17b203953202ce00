"""
How long must a stay last to count?
===================================

Where a coordinate is noisy, a threshold counts noise as transitions. Rates are therefore shown
against the *commit time*, the shortest stay that counts: a model is right when it has the rates
of the data at every commit time, the flicker included.
"""

import matplotlib.pyplot as plt
import numpy as np

import trajlm
from trajlm.data import Features
from trajlm.plots import DATA, plot_committed_transitions, styles_of
from trajlm.systems.hidden_markov import markov_chain

# %%
# A made-up record: three conformations, whose extension is read with much noise.

chain = markov_chain(
    np.array([[0.990, 0.010, 0.0], [0.006, 0.984, 0.010], [0.0, 0.020, 0.980]]), 0.1, "ms"
)
conformation = chain.simulate(100_000, seed=0).trajectories[0]
noise = np.random.default_rng(0).normal(0, 3, len(conformation))
extension = np.array([702.6, 709.6, 713.3])[conformation] + noise
record = Features((extension[:, None],), ("extension",), dt=0.1, unit="ms")
states = trajlm.Bins(20).fit(record).transform(record)

# %%
# The metastable states are cut by edges on a running mean over 20 frames, for the data and for
# all that is generated.

names = ("compact", "between", "extended")
groups = trajlm.group_by_edges(states, [706.1, 711.45], running_mean=20, names=names)
model = trajlm.LSTMEstimator(hidden_dim=32, epochs=6, seed=0).fit_fetch(states)
comparison = trajlm.compare(states, {"LSTM": model, "MSM": trajlm.fit_msm(states)}, groups)

# %%
# The Markov state model of the fine states forgets in which conformation it was as soon as a
# frame of noise hides it.

fig, ax = plt.subplots(layout="constrained")
plot_committed_transitions(comparison.reference.transitions, (0, 1), ax, style=DATA)
styles = styles_of([result.name for result in comparison.models])
for result, style in zip(comparison.models, styles, strict=True):
    plot_committed_transitions(result.transitions, (0, 1), ax, style=style)
    print(f"{result.name}: D = {result.discrepancy.value:.2f}")
print(f"between the halves of the data: D0 = {comparison.reference.discrepancy.value:.2f}")
ax.legend(frameon=False)
plt.show()
