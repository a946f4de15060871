"""What a network makes of the market at each decision: nearly all of its work, the same for every
account.

``EncodedMarket`` holds a period of any length: tables are given to it segment by segment and are
not needed again, and encodings lie in a temporary file, some 20 MB a day of five-second decisions.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from itertools import pairwise
from types import TracebackType
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apex_trader.errors import ApexError
from apex_trader.models.flat import QNetwork
from apex_trader.state.gather import MarketTables, gather

Bool = NDArray[np.bool_]
F32 = NDArray[np.float32]
I64 = NDArray[np.int64]

#: Rows that are gathered and encoded at once, counted from each segment's first.
STRETCH = 512
#: Stretches under way before ``EncodedMarket.add`` waits: each holds its states, 32 MB at most.
_AHEAD = 4
#: Rows read here and there after which the file's pages are let go.
_KEPT_ROWS = 1 << 16

#: Told the first row of a stretch, numbered over all segments, and its states [m, market_size].
Look = Callable[[int, F32], None]


class EncodedMarket:
    """Encodings of segments in the order in which their tables are added, in a temporary file.

    The file has no name, so nothing of it is left behind; it lies where the system's temporary
    files do (TMPDIR). Use it as a context, or ``close`` it.

    Args:
        network: encodes.
        pool: where stretches are encoded beside each other, while tables are added.

    Raises:
        ApexError: a weight is not finite.
    """

    def __init__(self, network: QNetwork, pool: Executor) -> None:
        _check_finite(network)
        self._network, self._pool = network.eval(), pool
        self._width = network.encoder.width
        self._file = tempfile.TemporaryFile(prefix="apex-encodings-")  # noqa: SIM115
        self._pages: mmap.mmap | None = None
        self._under_way: deque[Future[None]] = deque()
        self._known: list[Bool] = []
        self._read = 0
        #: Rows so far.
        self.rows = 0
        #: (first, stop) rows of the encoded stretches, ascending.
        self.stretches: list[tuple[int, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def add(self, tables: MarketTables, wanted: Bool, look: Look | None = None) -> None:
        """Encode the rows that follow those added before, in stretches that hold a wanted one.

        wanted [decisions]. look: sees the states as well, from several threads. ApexError when an
        earlier stretch failed.
        """
        known = np.zeros(tables.decisions, np.bool_)
        for start, end in pairwise([*tables.first_row, tables.decisions]):
            for first in range(start, end, STRETCH):
                stop = min(first + STRETCH, end)
                if wanted[first:stop].any():
                    known[first:stop] = True
                    self.stretches.append((self.rows + first, self.rows + stop))
                    self._submit(tables, first, stop, look)
        self._known.append(known)
        self.rows += tables.decisions

    def wait(self) -> None:
        """Until no stretch is under way. ApexError when one failed."""
        while self._under_way:
            self._under_way.popleft().result()

    def finish(self) -> Self:
        """Wait; then encodings can be read, and no tables added."""
        self.wait()
        self._known = [np.concatenate([*self._known, np.zeros(0, np.bool_)])]
        if self.stretches:
            size = self.rows * self._bytes
            self._file.truncate(size)
            self._pages = mmap.mmap(self._file.fileno(), size, access=mmap.ACCESS_READ)
        return self

    def read(self, first: int, stop: int) -> Tensor:
        """[stop − first, width] float32 of rows in a row, which ``stretches`` names."""
        data = os.pread(self._file.fileno(), (stop - first) * self._bytes, first * self._bytes)
        return torch.frombuffer(bytearray(data), dtype=torch.float32).view(-1, self._width)

    def of(self, rows: I64) -> Tensor:
        """[k, width] float32 of rows [k]. ApexError for a row that was not encoded."""
        known = self._known[0]
        if self._pages is None or not known[rows].all():
            raise ApexError("a decision was asked for that nobody said would be: it has no code")
        self._read += len(rows)
        if self._read > _KEPT_ROWS:
            self._let_go()
        table = np.frombuffer(self._pages, np.float32).reshape(-1, self._width)
        return torch.from_numpy(table[rows])

    def close(self) -> None:
        """Remove the file."""
        for future in self._under_way:
            future.cancel()
        self._under_way.clear()
        if self._pages is not None:
            self._pages.close()
            self._pages = None
        self._file.close()

    @property
    def _bytes(self) -> int:
        """Of a row."""
        return 4 * self._width

    def _submit(self, tables: MarketTables, first: int, stop: int, look: Look | None) -> None:
        if len(self._under_way) >= _AHEAD:
            self._under_way.popleft().result()
        work = self._pool.submit(self._encode, tables, first, stop, self.rows + first, look)
        self._under_way.append(work)

    @torch.inference_mode()
    def _encode(
        self, tables: MarketTables, first: int, stop: int, place: int, look: Look | None
    ) -> None:
        states = gather(tables, torch.arange(first, stop, device=tables.device))
        if look is not None:
            look(place, states.cpu().numpy())
        code = self._network.encode(states).float().cpu().contiguous()
        self._write(memoryview(code.numpy().tobytes()), place * self._bytes)

    def _write(self, data: memoryview, at: int) -> None:
        try:
            while data:
                done = os.pwrite(self._file.fileno(), data, at)
                data, at = data[done:], at + done
        except OSError as error:
            raise ApexError(
                f"encodings cannot be kept in {tempfile.gettempdir()} ({error.strerror}): they "
                f"take {self._bytes / 1024:.1f} KB a decision; set TMPDIR to a folder with more "
                "room"
            ) from None

    def _let_go(self) -> None:
        """The pages go from this process; the system keeps them as long as it has room."""
        self._read = 0
        if self._pages is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._pages.madvise(mmap.MADV_DONTNEED)


def encoded(network: QNetwork, tables: MarketTables, wanted: Bool, pool: Executor) -> EncodedMarket:
    """The encodings of tables that are there whole."""
    market = EncodedMarket(network, pool)
    market.add(tables, wanted)
    return market.finish()


def _check_finite(network: QNetwork) -> None:
    for name, weight in network.named_parameters():
        if not bool(weight.isfinite().all()):
            raise ApexError(
                f"the agent has no finite Q-values, since {name} has none: training diverged; "
                "lower learner.learning_rate"
            )
