"""
Stays that remember
===================

Two states that hide four: seen are "open" and "closed", but each of them is two states of a
driven molecule. Stays then have two time constants, and a short one is more often followed by a
short one. A Markov state model of what is seen knows one constant a state; the language model
learns both.
"""

import matplotlib.pyplot as plt

import trajlm
from trajlm.analysis import dwell_times, survival
from trajlm.plots import DATA, plot_survival, style_of
from trajlm.systems.hidden_markov import (
    KINSOFT_LEVEL3_LUMPING,
    KINSOFT_LEVEL3_RATES,
    HiddenMarkovProcess,
)

# %%
# The data: a hidden Markov process of which two states are seen, one frame each 0.2 s.

process = HiddenMarkovProcess.from_rates(
    KINSOFT_LEVEL3_RATES, dt=0.2, lumping=KINSOFT_LEVEL3_LUMPING
)
states = process.simulate(100_000, seed=0)

# %%
# A small network and few epochs are enough here. The Markov state model is fitted to the same.

estimator = trajlm.LSTMEstimator(hidden_dim=16, epochs=8, learning_rate=5e-3, seed=0)
models = {"LSTM": estimator.fit_fetch(states), "MSM": trajlm.fit_msm(states)}
print(models["LSTM"].record.direction.describe())

# %%
# Each model runs freely, and the stays in the second state are drawn with those of the data and
# their 95 % band.

fig, ax = plt.subplots(layout="constrained")
plot_survival(survival(dwell_times(states, 1)), ax, style=DATA)
for name, model in models.items():
    generated = model.generate(100_000, n_lanes=4, seed=1)
    plot_survival(survival(dwell_times(generated, 1)), ax, style=style_of(name))
ax.set(xlim=(0, 120), ylim=(3e-3, 1.2))
ax.legend(frameon=False)
plt.show()

# %%
# The same in numbers: nats a frame on a path that neither model has seen, beside the exact rate
# of the process.

fresh = process.simulate(100_000, seed=2)
print(f"exact: {-process.log_probs(fresh)[0].mean():.4f} nats a frame")
for name, model in models.items():
    print(f"{name}: {model.cross_entropy(fresh):.4f}")
