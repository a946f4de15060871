"""Counting what a download brings."""

from __future__ import annotations

from dataclasses import dataclass, field

from apex_trader.market import intervals
from apex_trader.market.download.source import Watch
from apex_trader.market.download.want import Want
from apex_trader.market.transaction import WriteSummary
from apex_trader.market.types import I64


@dataclass(frozen=True)
class WantResult:
    """What came of one want.

    missing: µs that the store lacked before. rows, new_rows: received, and not known before.
    size: bytes that came over the network. lacking: [k, 2] µs that could not be had.
    """

    want: Want
    missing: int
    rows: int
    new_rows: int
    size: int
    lacking: I64


@dataclass
class _Count:
    missing: int = 0
    rows: int = 0
    new_rows: int = 0
    size: int = 0


@dataclass
class Tally:
    """A ``Watch`` that counts, and tells another one."""

    watch: Watch
    remarks: list[str] = field(default_factory=list)
    _counts: dict[Want, _Count] = field(default_factory=dict)

    def planned(self, wanted: Want, micros: int) -> None:
        """See ``Watch.planned``."""
        self._counts[wanted] = _Count(micros)
        self.watch.planned(wanted, micros)

    def received(self, wanted: Want, size: int) -> None:
        """See ``Watch.received``."""
        self._counts[wanted].size += size
        self.watch.received(wanted, size)

    def delivered(self, wanted: Want, covered: tuple[int, int], summary: WriteSummary) -> None:
        """See ``Watch.delivered``."""
        count = self._counts[wanted]
        count.rows += summary.rows
        count.new_rows += summary.new_rows
        self.watch.delivered(wanted, covered, summary)

    def remark(self, text: str) -> None:
        """See ``Watch.remark``."""
        self.remarks.append(text)
        self.watch.remark(text)

    def result(self, wanted: Want, lacking: I64) -> WantResult:
        """What came of a want; ``lacking``: what is still missing."""
        count = self._counts[wanted]
        return WantResult(
            wanted, count.missing, count.rows, count.new_rows, count.size,
            intervals.union(lacking),
        )  # fmt: skip
