"""Versions of the packages that decide a result."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "trajlm",
    "numpy",
    "scipy",
    "torch",
    "numba",
    "llvmlite",
    "deeptime",
    "safetensors",
    "openmm",
)


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that decide a result, as far as installed."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
