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

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trajlm.analysis import group_by_edges, group_by_list, group_by_pcca
    from trajlm.comparison import Comparison, compare
    from trajlm.data import Features, States
    from trajlm.discretize import (
        Bins,
        KMeans,
        NearestCenters,
        average,
        decimate,
        remove_spikes,
        smooth,
    )
    from trajlm.errors import TrajlmError
    from trajlm.evaluate.kinetics import kinetics
    from trajlm.io import (
        read_colvar,
        read_features,
        read_hdf5,
        read_md,
        read_states,
        read_text,
        write_features,
        write_states,
    )
    from trajlm.lstm.estimator import LSTMEstimator
    from trajlm.models.hidden_markov import fit_hmm
    from trajlm.models.markov import fit_msm
    from trajlm.models.ngram import fit_ngram
    from trajlm.models.registry import load_model
    from trajlm.systems import simulate
    from trajlm.util.progress import progress

_HOMES = {
    "trajlm.analysis": ("group_by_edges", "group_by_list", "group_by_pcca"),
    "trajlm.util.progress": ("progress",),
    "trajlm.comparison": ("Comparison", "compare"),
    "trajlm.data": ("Features", "States"),
    "trajlm.io.datasets": ("fetch_dataset", "load_dataset"),
    "trajlm.discretize": (
        "Bins",
        "KMeans",
        "NearestCenters",
        "average",
        "decimate",
        "remove_spikes",
        "smooth",
    ),
    "trajlm.errors": ("TrajlmError",),
    "trajlm.lstm.estimator": ("LSTMEstimator",),
    "trajlm.io": (
        "read_colvar",
        "read_features",
        "read_hdf5",
        "read_md",
        "read_states",
        "read_text",
        "write_features",
        "write_states",
    ),
    "trajlm.evaluate.kinetics": ("kinetics",),
    "trajlm.models.registry": ("load_model",),
    "trajlm.models.hidden_markov": ("fit_hmm",),
    "trajlm.models.markov": ("fit_msm",),
    "trajlm.models.ngram": ("fit_ngram",),
    "trajlm.systems": ("simulate",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Bins",
    "Comparison",
    "Features",
    "KMeans",
    "LSTMEstimator",
    "NearestCenters",
    "States",
    "TrajlmError",
    "average",
    "compare",
    "decimate",
    "fetch_dataset",
    "fit_hmm",
    "fit_msm",
    "fit_ngram",
    "group_by_edges",
    "group_by_list",
    "group_by_pcca",
    "kinetics",
    "load_dataset",
    "load_model",
    "progress",
    "read_colvar",
    "read_features",
    "read_hdf5",
    "read_md",
    "read_states",
    "read_text",
    "remove_spikes",
    "simulate",
    "smooth",
    "write_features",
    "write_states",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that `import trajlm` stays quick."""
    if name == "__version__":
        from importlib.metadata import version

        return version("trajlm")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'trajlm' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
