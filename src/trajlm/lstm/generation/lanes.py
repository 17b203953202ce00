"""Running the language model freely: lanes, threads and progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from trajlm.data import States, smallest_unsigned
from trajlm.errors import InputError
from trajlm.lstm.generation.blocks import CARRIED, Block, Generator, Progress, choose_starts
from trajlm.lstm.loops import loops
from trajlm.util.arrays import IntArray
from trajlm.util.devices import threads_of, usable_cores
from trajlm.util.trajectories import owned

# Outside these, a temperature is a slip: 1/T or the logits over T leave single precision.
TEMPERATURES = (1e-3, 1e3)
# Lanes that run as one matrix: enough that weights are read seldom, few enough for the cache.
BLOCK = 48
# Padded L from which on several threads may share a block, at most one for so many units: they
# meet once a frame, and the more they are the longer that takes beside the work of each.
SHARED_FROM, UNITS_A_THREAD = 192, 64
# Multiplications and additions of all lanes of a block between two looks at the clock.
CHUNK_OPERATIONS = 20_000_000_000
# Of a unit's gates and of a state that may be drawn, counted as these.
UNIT_OPERATIONS, STATE_OPERATIONS = 100, 200
# Number of a random stream that no frame uses.
LAST = np.uint64(2**64 - 1)


def generate_lanes(
    model: Generator,
    n_steps: int,
    n_lanes: int,
    seed: int,
    start: int | States | None = None,
    temperature: float = 1.0,
    progress: Progress | None = None,
    n_threads: int | None = None,
    device: str = "cpu",
) -> list[IntArray]:
    """Return `n_lanes` sampled trajectories of `n_steps` frames; see `LSTMModel.generate`.

    Each lane has a random stream of its own and is not touched by those beside it, so what it
    gives is the same for any number of threads and lanes.
    """
    blocks = lane_blocks(model, n_lanes, seed, start, temperature, n_threads, device)
    out = np.empty((n_lanes, n_steps), dtype=smallest_unsigned(model.n_states))

    def write(lane: int, frame: int, states: IntArray) -> None:
        out[lane : lane + len(states), frame : frame + states.shape[1]] = states

    run_blocks(blocks, n_steps, write, progress, n_threads)
    return list(owned(out))


def lane_blocks(
    model: Generator,
    n_lanes: int,
    seed: int,
    start: int | States | None,
    temperature: float,
    n_threads: int | None,
    device: str = "cpu",
    share: slice | None = None,
) -> list[Block]:
    """Return the lanes before their first frame, in blocks for the threads to share.

    A GPU has one block, of all its lanes.

    Parameters
    ----------
    share
        The lanes that are made here; all when None.

    Raises
    ------
    InputError
        The temperature is out of range, there is no such device, or no code for it.
    """
    from trajlm.kernels.random_streams import stream_keys, uniform

    coldest, hottest = TEMPERATURES
    if not coldest <= temperature <= hottest:
        raise InputError(
            f"the temperature must lie between {coldest:g} and {hottest:g}, not at {temperature}"
        )
    if device != "cpu" and not model.on_gpus:
        raise InputError(
            f"a model of tokens of several columns runs on the processor, not on {device}"
        )
    if isinstance(start, States):
        starts = choose_starts(start, seed)
    elif start is not None:
        starts = (np.array([start]),)
    else:
        starts = model.starts
    keys = stream_keys(seed, n_lanes)
    # The last number of a lane's stream, which no frame reaches, chooses where it begins.
    chosen = [int(uniform(key, LAST) * len(starts)) for key in keys]
    first, last, _ = (share or slice(None)).indices(n_lanes)
    n_own = last - first
    if device != "cpu" and n_own:
        from trajlm.lstm.generation.gpu import DeviceBlock, gpu

        own = chosen[first:last], keys[first:last]
        return [DeviceBlock(model, starts, *own, 1.0 / temperature, first, gpu(device))]
    threads = threads_of(n_threads)
    tiles = loops().tile_rows(model.generating)
    teams = loops().HAS_TEAMS and model.shares_lanes
    size, team = share_out(n_own, threads, model.tables.hidden_dim, tiles, teams)
    cuts = [*range(first, last, size), last]
    return [
        model.lane_block([starts[k] for k in chosen[a:b]], keys[a:b], 1.0 / temperature, a, team)
        for a, b in pairwise(cuts)
    ]


def share_out(
    n_lanes: int, n_threads: int, hidden_dim: int, tiles: tuple[int, int], teams: bool = True
) -> tuple[int, int]:
    """Return how many lanes make a block and how many threads share one, for the least time.

    The time of a frame is counted in lanes of a block that fills its tiles, whose lanes are the
    larger of `tiles`. Lanes left over from them take longer, as measured: where they fill the
    smaller tiles, and where they are alone; and each block reads the weights. Without `teams`
    threads share no block.
    """
    cores = min(n_threads, usable_cores())
    whole, part = tiles

    def frame_time(size: int, team: int) -> float:
        few, alone = divmod(size % whole, part)
        product = size - size % whole + 1.5 * part * few + 3 * alone
        # What threads do not share, each does for all lanes.
        return 1 + product / team + (0.2 * size if team > 1 else 0)

    def round_time(share: tuple[int, int]) -> float:
        size, team = share
        side_by_side = max(1, n_threads // team)
        blocks, rest = divmod(n_lanes, size)
        rounds, more = divmod(blocks, side_by_side)
        left_over = frame_time(rest, team) if rest and not more else 0.0
        return (rounds + (more > 0)) * frame_time(size, team) + left_over

    def team_of(size: int) -> int:
        if not teams or hidden_dim < SHARED_FROM:
            return 1
        idle = cores // max(1, -(-n_lanes // size))
        return max(1, min(idle, hidden_dim // UNITS_A_THREAD))

    sizes = range(1, max(1, min(n_lanes, BLOCK)) + 1)
    return min(((size, team_of(size)) for size in sizes), key=round_time)


def run_blocks(
    blocks: Sequence[Block],
    n_steps: int,
    write: Callable[[int, int, IntArray], None],
    progress: Progress | None,
    n_threads: int | None,
    after_round: Callable[[], None] = lambda: None,
) -> None:
    """Make the frames up to `n_steps` that each block has not made, chunk after chunk.

    Parameters
    ----------
    write
        Takes the first lane, the first frame, and states (lanes, frames).
    after_round
        Called when every block has made its chunk and none is running.
    """
    pool = ThreadPoolExecutor(threads_of(n_threads))

    # As many frames in each block, however many lanes it has: none is ahead after a round.
    chunk = min((block.chunk for block in blocks), default=0)

    def make(block: Block) -> int:
        begin = block.made
        states = block.advance(min(chunk, n_steps - begin))
        write(block.first, begin, states)
        return states.size

    try:
        while left := [block for block in blocks if block.made < n_steps]:
            for made in pool.map(make, left):
                if progress:
                    progress(made)
            after_round()
    finally:
        # After Ctrl-C only the chunks that are running are waited for.
        pool.shutdown(cancel_futures=True)


class LaneBlock:
    """Some neighbouring lanes, with the memory that they carry from chunk to chunk.

    Parameters
    ----------
    model, starts, keys, inverse_temperature
        What is run, the stretch of data that each lane begins from, its random stream, and what
        the logits are multiplied by.
    first
        The number of the first lane.
    n_threads
        How many threads work on them together; they need a core each.
    """

    def __init__(
        self,
        model: Generator,
        starts: Sequence[IntArray],
        keys: npt.NDArray[np.uint64],
        inverse_temperature: float,
        first: int,
        n_threads: int = 1,
    ) -> None:
        from trajlm.kernels.arrays import cache_aligned

        self.tables = model.tables
        self.recurrent = model.generating
        self.starts = starts
        self.keys = keys
        self.inverse_temperature = np.float32(inverse_temperature)
        self.first = first
        self.n_lanes = len(keys)
        self.n_threads = n_threads
        self.made = 0
        self.dtype = smallest_unsigned(model.n_states)
        self.states = np.array([s[-1] for s in starts], dtype=np.int64)
        self.hidden, self.cell = cache_aligned((2, len(starts), self.tables.hidden_dim))

    @property
    def chunk(self) -> int:
        """Frames to make between two looks at the clock: some tenths of a second."""
        (n_states, columns), L = self.tables.skip.shape, self.tables.hidden_dim
        operations = 8 * L**2 + 2 * L * columns + UNIT_OPERATIONS * L + STATE_OPERATIONS * n_states
        return int(max(16, CHUNK_OPERATIONS // (operations * self.n_lanes)))

    def advance(self, n_frames: int) -> IntArray:
        """Return the states of the next frames, shape (lanes, n_frames)."""
        if self.made == 0:
            longest = max(len(s) for s in self.starts)
            paths = np.zeros((len(self.starts), longest), np.int64)
            begins = np.array([longest - len(s) for s in self.starts])
            for path, path_begin, start in zip(paths, begins, self.starts, strict=True):
                path[path_begin:] = start
            self._read(paths, begins)
        out = np.empty((len(self.states), n_frames), self.dtype)
        self.remember(self.made + n_frames, self._generate(out))
        return out

    def _read(self, paths: IntArray, begins: IntArray) -> None:
        """Take in the data that lanes begin from, see `trajlm.kernels.lstm.read_lanes`."""
        inputs = self.tables.inputs
        loops().read_lanes(inputs, self.recurrent, paths, begins, self.hidden, self.cell)

    def _generate(self, out: IntArray) -> dict[str, npt.NDArray[Any]]:
        """Fill `out`, on all threads of the block; return what the lanes carry then."""
        from trajlm.kernels.arguments import DISMISSED
        from trajlm.kernels.arrays import cache_aligned

        t = self.tables
        arrivals = cache_aligned((1,), np.int64)
        gates = cache_aligned((2, self.n_lanes, 4 * t.hidden_dim))

        def work(rank: int) -> dict[str, npt.NDArray[Any]]:
            own = {}
            for name, x in self.memory().items():
                own[name] = cache_aligned(x.shape, x.dtype)
                own[name][:] = x
            loops().generate_lanes(
                t.inputs, self.recurrent, t.readout, t.skip, *own.values(),
                self.inverse_temperature, self.keys, self.made,
                out if rank == 0 else np.empty_like(out), gates, arrivals, rank, self.n_threads,
            )  # fmt: skip
            return own

        if self.n_threads == 1:
            return work(0)
        with ThreadPoolExecutor(self.n_threads) as team:
            try:
                works = [team.submit(work, rank) for rank in range(self.n_threads)]
                for done in as_completed(works):
                    done.result()
            except BaseException:
                # Where one could not begin or failed, the others must not wait for it.
                arrivals[0] = DISMISSED
                raise
        return works[0].result()

    def memory(self) -> dict[str, npt.NDArray[Any]]:
        """Return what the lanes carry."""
        return {name: getattr(self, name) for name in CARRIED}

    def remember(self, made: int, memory: dict[str, npt.NDArray[Any]]) -> None:
        """Go on from what `memory` returned when `made` frames were made."""
        self.made = made
        for name in CARRIED:
            getattr(self, name)[:] = memory[name]
