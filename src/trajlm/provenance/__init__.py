"""How states were made from features, and what is known of the data behind them.

One frozen object, `Discretization`, goes with states from their cut to models, reports and files:
the method with its parameters, the columns and their periods, the projection to slow coordinates,
the filters before and after the cut, and notes on the data. Files hold it as JSON with a version;
`version1` reads what the first version wrote.
"""

from __future__ import annotations

from trajlm.provenance.discretization import Discretization
from trajlm.provenance.history import History
from trajlm.provenance.methods import (
    Binning,
    Centers,
    Clustering,
    Given,
    Grouped,
    Method,
    ProductBinning,
    Rule,
)
from trajlm.provenance.notes import Note, NoteKind, as_notes
from trajlm.provenance.projection import Projection, Scaling
from trajlm.provenance.steps import (
    Averaged,
    Decimated,
    RunningMean,
    SpikesRemoved,
    Step,
    frames_after,
    origin_of_frames,
)

__all__ = [
    "Averaged",
    "Binning",
    "Centers",
    "Clustering",
    "Decimated",
    "Discretization",
    "Given",
    "Grouped",
    "History",
    "Method",
    "Note",
    "NoteKind",
    "ProductBinning",
    "Projection",
    "Rule",
    "RunningMean",
    "Scaling",
    "SpikesRemoved",
    "Step",
    "as_notes",
    "frames_after",
    "origin_of_frames",
]
