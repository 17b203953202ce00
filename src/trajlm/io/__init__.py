"""Read features and states from files and write them back."""

from __future__ import annotations

from trajlm.io.colvar import read_colvar
from trajlm.io.fret import fret_efficiency
from trajlm.io.hdf5 import read_hdf5
from trajlm.io.md.features import read_md
from trajlm.io.read import read_features, read_npy, read_npz
from trajlm.io.states import read_states
from trajlm.io.text import read_text
from trajlm.io.write import write_features, write_states
from trajlm.util.atomic import atomic_path, write_json, write_text_atomic

__all__ = [
    "atomic_path",
    "fret_efficiency",
    "read_colvar",
    "read_features",
    "read_hdf5",
    "read_md",
    "read_npy",
    "read_npz",
    "read_states",
    "read_text",
    "write_features",
    "write_json",
    "write_states",
    "write_text_atomic",
]
