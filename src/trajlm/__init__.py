"""Learn molecular trajectories as a language.

Cut a trajectory into states, train a small language model on them, let it write new
trajectories, and compare their equilibrium and kinetics with the data::

    features = trajlm.read_colvar("COLVAR", columns=["phi"])
    states = trajlm.Bins(20).fit(features).transform(features)
    model = trajlm.LSTMEstimator(seed=0).fit(states).fetch_model()
    comparison = trajlm.compare(states, {"LSTM": model, "MSM": trajlm.fit_msm(states)})
    comparison.save("report")
"""

from __future__ import annotations

from typing import Any

import lazy_loader

# The names are those of `__init__.pyi`; each is imported when it is first used.
_public, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("trajlm")
    return _public(name)
