"""What the compiler may use of this processor."""

from __future__ import annotations

import llvmlite.binding as llvm
from numba.core import config

_FEATURES = llvm.get_host_cpu_features()


def compiled_with(*features: str) -> bool:
    """Return whether the compiler may use features: where told so, else those of this machine."""
    if config.CPU_FEATURES is not None:
        told = config.CPU_FEATURES.split(",")
        return all(f"+{feature}" in told for feature in features)
    if config.CPU_NAME is not None or not config.ENABLE_AVX:
        return False
    return all(_FEATURES.get(feature) for feature in features)


HAS_AVX512 = compiled_with("avx512f")
HAS_AVX2 = compiled_with("avx2", "fma")
# Whether the machine widens half precision itself.
HAS_HALF = HAS_AVX512 or compiled_with("f16c")
# Whether it multiplies vectors of bytes and sums four products at a time. Where that instruction is
# missing the compiler has no other in its place.
HAS_BYTES = compiled_with("avx512vnni" if HAS_AVX512 else "avxvnni")
