"""What the record of a training says of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from trajlm.util.words import Fact, counted

# The learning rate falls to zero as a cosine: the last tenth of the epochs is 0.2 % of its sum,
# and a training that had the epochs it needs gains next to nothing in them.
LAST_PART = 0.1
STILL_GAINED = 0.01
# Nats a frame below which a gain does not show in the four digits that are printed.
LEAST_GAIN = 1e-4


def training_facts(record: Mapping[str, Any]) -> list[Fact]:
    """Return what a language model was trained on and how it went, as names and values."""
    history, baselines = record["history"], record["baselines"]
    best = history[record["best_epoch"] - 1]
    facts = [
        (
            "trained on",
            f"{counted(record['n_trajectories'], 'trajectory', 'trajectories')}, "
            f"{record['n_frames']:,} frames, {counted(len(history), 'epoch', 'epochs')}, "
            f"seed {record['settings']['seed']}",
        ),
        (
            "held-out stretch",
            f"{best['validation']:.4f} nats a frame (MSM {baselines['msm']:.4f}, independent "
            f"frames {baselines['independent']:.4f})",
        ),
    ]
    if unfinished := still_improving(record):
        facts.append(("training", unfinished))
    if "direction" in record:
        facts.append(("direction of time", record["direction"]["summary"]))
    if "rounding" in record:
        facts.append(("rounding", record["rounding"]["summary"]))
    if "calibration" in record:
        facts.append(("calibration", record["calibration"]["summary"]))
    return facts


def still_improving(record: Mapping[str, Any]) -> str:
    """Say that the limit of epochs ended a training too early; nothing where it did not.

    That the last epoch is the best is no sign of it, since the learning rate falls to zero
    towards the last. It is where the held-out nats fell, in the last tenth of the epochs (one at
    least), by more than 1 % of all that was gained since the start: the higher of the MSM, where
    the bigram skip starts, and the first epoch.
    """
    history = record.get("history") or []
    n = len(history)
    if not n or n < record.get("settings", {}).get("epochs", n) or record["best_epoch"] < n:
        return ""
    held_out = [epoch["validation"] for epoch in history]
    start = max(record["baselines"]["msm"], held_out[0])
    before = [start, *held_out][-1 - max(1, round(LAST_PART * n))]
    gain = before - held_out[-1]
    if gain < max(STILL_GAINED * (start - held_out[-1]), LEAST_GAIN):
        return ""
    return f"stopped at epoch {n}, the most allowed, while still improving: more epochs may help"
