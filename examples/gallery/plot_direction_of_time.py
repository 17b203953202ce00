"""
Does the data know which way time runs?
=======================================

In equilibrium a path and its mirror image are equally probable, and a training may learn from
both. A molecule that is driven, by light, a motor or a pulling trap, is not in equilibrium. The
test counts words of three frames against their mirror images; below p = 0.05 a training reads
forwards only.
"""

import matplotlib.pyplot as plt
import numpy as np

from trajlm.analysis.reversibility import reversibility_p_value
from trajlm.systems.hidden_markov import markov_chain

# %%
# Three states in a ring, driven one way round: with a drive of 0.1 a step forth is 1.2 times as
# frequent as a step back.


def ring(drive: float):
    """Return the chain of a ring that is driven one way round."""
    forth, back = 0.05 * (1 + drive), 0.05 * (1 - drive)
    rows = np.array([[0.9, forth, back], [back, 0.9, forth], [forth, back, 0.9]])
    return markov_chain(rows, 1.0, "frame")


drives = np.array([0.0, 0.01, 0.02, 0.03, 0.05, 0.1])
lengths = (10_000, 100_000)
p_values = {
    n: [[reversibility_p_value(ring(d).simulate(n, seed=k)) for k in range(7)] for d in drives]
    for n in lengths
}

# %%
# Longer data shows a weaker drive. Where nothing is found, reading both ways does less harm than
# the noise that it takes away.

fig, ax = plt.subplots(layout="constrained")
for (n, values), look in zip(p_values.items(), ("o--", "s-"), strict=True):
    ax.plot(drives, np.median(values, axis=1), look, color="black", label=f"{n:,} frames")
ax.axhline(0.05, color="grey", lw=0.8)
ax.set(yscale="log", xlabel="drive", ylabel="p-value, median of seven runs")
ax.legend(frameon=False)
plt.show()
