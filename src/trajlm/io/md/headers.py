"""The frames of xtc, trr and dcd files as their headers declare them, checked before C reads them.

The C readers of these formats believe what a file says of its own sizes, and a damaged one can
make them end the whole process.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trajlm.errors import InputError
from trajlm.io.sources import PathLike

XTC_MAGIC = 1995
TRR_MAGIC = 1993
# The largest index into xtc's table of integers.
XTC_LARGEST_INDEX = 72
XTC_SMALLEST_INDEX = 9
# Up to this many atoms xtc keeps plain floats.
XTC_PLAIN_ATOMS = 9


class _OtherAtoms(ValueError):
    """A frame of another number of atoms than the topology."""


def other_atoms(path: PathLike, n_found: int, n_atoms: int) -> InputError:
    """Return the error for a trajectory of another number of atoms than its topology."""
    return InputError(
        f"{path} has {n_found} atoms but the topology has {n_atoms}, that of another system: give "
        "the topology of the same atoms"
    )


def check_frames(path: PathLike, n_atoms: int) -> None:
    """Walk over the frames of an xtc, trr or dcd file by their headers.

    Raises
    ------
    InputError
        Sizes that do not fit the file, with the frame, or another number of atoms.
    """
    checks = {".xtc": _xtc, ".trr": _trr, ".dcd": _dcd}
    suffix = Path(path).suffix.lower()
    if suffix not in checks:
        return
    frame = 0
    try:
        with open(path, "rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            for _ in checks[suffix](file, n_atoms):
                frame += 1
                if file.tell() > size:
                    raise ValueError("it is cut short")
    except _OtherAtoms as found:
        if frame == 0:
            raise other_atoms(path, *found.args) from None
        atoms, _ = found.args
        raise InputError(
            f"{path}, frame {frame} has {atoms} atoms but the frames before it have {n_atoms}: cut "
            "the file there"
        ) from None
    except (ValueError, struct.error, OverflowError) as error:
        raise InputError(
            f"{path}, frame {frame} is damaged ({error}): cut the file there or make it again"
        ) from None


def _numbers(file: BinaryIO, form: str) -> tuple[int, ...]:
    data = file.read(struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        raise ValueError("it is cut short")
    return struct.unpack(form, data)


def _xtc(file: BinaryIO, n_atoms: int) -> Iterator[None]:
    """Each frame: magic, atoms, step, time, box, atoms, and the packed coordinates."""
    while head := file.read(4):
        if head != struct.pack(">i", XTC_MAGIC):
            raise ValueError("it does not begin as one")
        atoms, _, _ = _numbers(file, ">iif")
        file.seek(36, 1)
        (packed_atoms,) = _numbers(file, ">i")
        if atoms != packed_atoms:
            raise ValueError(f"it has {atoms} and {packed_atoms} atoms")
        if atoms != n_atoms:
            raise _OtherAtoms(atoms, n_atoms)
        if n_atoms <= XTC_PLAIN_ATOMS:
            file.seek(12 * n_atoms, 1)
        else:
            *lowest, x, y, z, index, n_bytes = _numbers(file, ">4x3i3i2i")
            widths = [high - low for low, high in zip(lowest, (x, y, z), strict=True)]
            if (
                not XTC_SMALLEST_INDEX <= index <= XTC_LARGEST_INDEX
                or min(widths) < 0
                or not 0 < n_bytes <= 16 * n_atoms + 64
            ):
                raise ValueError("its packing has no meaning")
            file.seek(-(-n_bytes // 4) * 4, 1)
        yield


def _trr(file: BinaryIO, n_atoms: int) -> Iterator[None]:
    """Each frame: magic, version, the sizes of its parts, and the parts."""
    while head := file.read(4):
        if head != struct.pack(">i", TRR_MAGIC):
            raise ValueError("it does not begin as one")
        _, length = _numbers(file, ">ii")
        if not 0 <= length <= 64:
            raise ValueError("its version has no meaning")
        file.seek(-(-length // 4) * 4, 1)
        sizes = _numbers(file, ">10i")
        atoms, _, _ = _numbers(file, ">3i")
        if atoms != n_atoms:
            raise _OtherAtoms(atoms, n_atoms)
        box, positions = sizes[2], sizes[7]
        width = 4 if positions == 12 * n_atoms else 8
        parts = (0, width * 9, width * 3 * n_atoms)
        if positions != parts[2] or box not in parts[:2] or any(s not in parts for s in sizes):
            raise ValueError("its sizes have no meaning")
        file.seek(2 * width + sum(sizes), 1)
        yield


def _dcd(file: BinaryIO, n_atoms: int) -> Iterator[None]:
    """Fortran records, their length before and after: header, title, atoms, then coordinates."""
    order = "<" if file.read(4) == struct.pack("<i", 84) else ">"
    file.seek(0)
    header = _record(file, order, 84)
    if header[:4] != b"CORD":
        raise ValueError("it is no DCD file")
    flags = struct.unpack(f"{order}20i", header[4:])
    if flags[8]:
        raise ValueError("files with fixed atoms are not read")
    title = _record(file, order)
    (n_lines,) = struct.unpack_from(f"{order}i", title)
    if len(title) != 4 + 80 * n_lines:
        raise ValueError("its title has no meaning")
    (atoms,) = struct.unpack(f"{order}i", _record(file, order, 4))
    if atoms != n_atoms:
        raise _OtherAtoms(atoms, n_atoms)
    while file.read(1):
        file.seek(-1, 1)
        if flags[10]:
            _record(file, order, 48)
        for _ in range(4 if flags[11] and flags[19] else 3):
            _skip_record(file, order, 4 * n_atoms)
        yield


def _record(file: BinaryIO, order: str, length: int | None = None) -> bytes:
    (declared,) = _numbers(file, f"{order}i")
    if not 0 <= declared <= 100_000 or (length is not None and declared != length):
        raise ValueError("a record has another length than declared")
    data = file.read(declared)
    (again,) = _numbers(file, f"{order}i")
    if len(data) != declared or again != declared:
        raise ValueError("a record has another length than declared")
    return data


def _skip_record(file: BinaryIO, order: str, length: int) -> None:
    (declared,) = _numbers(file, f"{order}i")
    file.seek(length, 1)
    (again,) = _numbers(file, f"{order}i")
    if declared != length or again != length:
        raise ValueError("a record has another length than declared")
