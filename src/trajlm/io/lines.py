"""The lines of a text file: where each begins and ends, whatever ends them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trajlm.errors import InputError
from trajlm.io.md.trajectories import TIMED, UNTIMED
from trajlm.io.sources import PathLike, read_bytes
from trajlm.util.arrays import I64

COMMENTS = b"#%@&"
# Bytes looked at in one go.
BLOCK = 1 << 24
# Lines alike that stand among others; more are how the file is written.
MOST_ALIKE = 100

Rows = I64


@dataclass(frozen=True)
class Lines:
    """The lines of a file: where they begin and end, and the first character of each.

    Parameters
    ----------
    data
        The bytes of the file, lines separated by a line feed, the last one ended by one.
    starts, ends
        Of each line, shape (n,).
    first
        Its first character that is no blank, shape (n,); 0 where there is none.
    ended
        Whether the file ends with a line end.
    """

    data: bytes
    starts: Rows
    ends: Rows
    first: npt.NDArray[np.uint8]
    ended: bool

    def __len__(self) -> int:
        return len(self.starts)

    def text(self, line: int) -> str:
        """Return a line, counted from 0; bytes that are no UTF-8 are read as Latin-1."""
        raw = self.data[self.starts[line] : self.ends[line]]
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            return raw.decode("latin-1")

    def content(self) -> Rows:
        """Return the lines that are neither blank nor comments."""
        special = np.isin(self.first, np.frombuffer(COMMENTS, np.uint8)) | (self.first == 0)
        return np.flatnonzero(~special)

    def equal_to(self, line: int) -> Rows:
        """Return the later lines that say the same as a line."""
        length = int(self.ends[line] - self.starts[line])
        alike = np.flatnonzero((self.ends - self.starts == length) & (self.first != 0))
        text = self.text(line)
        alike = alike[(alike > line) & (self.first[alike] == self.first[line])]
        if len(alike) > len(self) // 2 and len(alike) > MOST_ALIKE:
            return np.zeros(0, np.int64)
        return np.array([k for k in alike.tolist() if self.text(k) == text], np.int64)


def read_lines(path: PathLike) -> Lines:
    """Return the lines of a text file; line ends may be LF, CRLF, bare CR or a mixture.

    Raises
    ------
    InputError
        The file is missing, or binary.
    """
    data = read_bytes(path)
    if b"\0" in data[:1000]:
        if Path(path).suffix.lower() in TIMED + UNTIMED:
            raise InputError(
                f"{path} is a molecular trajectory: compute its features first (trajlm features)"
            )
        raise InputError(f"{path} is neither text nor npy nor npz: convert it to one of them")
    data = data.removeprefix(b"\xef\xbb\xbf")
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    ended = data.endswith(b"\n")
    if not ended:
        data += b"\n"
    buffer = np.frombuffer(data, np.uint8)
    ends = np.concatenate(
        [
            np.flatnonzero(buffer[a : a + BLOCK] == ord("\n")) + a
            for a in range(0, len(buffer), BLOCK)
        ]
    )
    starts = np.concatenate([[0], ends[:-1] + 1])
    return Lines(data, starts, ends, _first_characters(buffer, starts), ended)


def _first_characters(buffer: npt.NDArray[np.uint8], starts: Rows) -> npt.NDArray[np.uint8]:
    first = buffer[starts]
    at = np.flatnonzero((first == ord(" ")) | (first == ord("\t")))
    place = starts[at] + 1
    while len(at):
        found = buffer[place]
        first[at] = found
        blank = (found == ord(" ")) | (found == ord("\t"))
        at, place = at[blank], place[blank] + 1
    first[first == ord("\n")] = 0
    return first
