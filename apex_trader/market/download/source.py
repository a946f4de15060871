"""What every source of history does: bring rows, each lot with the time that it speaks for."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from apex_trader.market.checks import ImpossibleError
from apex_trader.market.download.want import Want
from apex_trader.market.importers import ImportOptions, import_archive, import_rows
from apex_trader.market.kinds import Data
from apex_trader.market.naming import FileName
from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import Transaction, WriteSummary
from apex_trader.market.types import I64

#: What mends a bad file of an archive.
AGAIN_OR_REST = "Try again later, or get that time with --source rest"


class Delivery(Protocol):
    """Rows of one want on their way into the store."""

    @property
    def want(self) -> Want:
        """What they were fetched for."""

    def write(
        self, store: MarketStore, transaction: Transaction, options: ImportOptions
    ) -> WriteSummary:
        """Write them; DataError when they cannot be right."""


@dataclass(frozen=True)
class FileDelivery:
    """A verified archive file."""

    want: Want
    path: Path
    name: FileName

    def write(
        self, store: MarketStore, transaction: Transaction, options: ImportOptions
    ) -> WriteSummary:
        """See ``Delivery.write``."""
        with _said_of_a_download(AGAIN_OR_REST):
            return import_archive(store, transaction, str(self.path), self.name, options)


@dataclass(frozen=True)
class RowsDelivery:
    """Rows from REST; covered: [start, end) µs that they speak for."""

    want: Want
    rows: Data
    covered: tuple[int, int]
    origin: str

    def write(
        self, store: MarketStore, transaction: Transaction, options: ImportOptions
    ) -> WriteSummary:
        """See ``Delivery.write``."""
        with _said_of_a_download("The exchange's answer cannot be right: try again later"):
            return import_rows(
                store, transaction, self.want.market, self.rows, options, origin=self.origin,
                covered=self.covered,
            )  # fmt: skip


@contextlib.contextmanager
def _said_of_a_download(remedy: str) -> Iterator[None]:
    """Nobody can correct a row of what the exchange has published: that is not to be said."""
    try:
        yield
    except ImpossibleError as error:
        raise error.remedied(remedy) from None


#: Takes a delivery and returns once it is in the store.
Take = Callable[[Delivery], Awaitable[None]]


class Watch(Protocol):
    """Is told how a download gets on."""

    def planned(self, wanted: Want, micros: int) -> None:
        """So much time (µs) of a want is missing."""

    def received(self, wanted: Want, size: int) -> None:
        """So many bytes came."""

    def delivered(self, wanted: Want, covered: tuple[int, int], summary: WriteSummary) -> None:
        """Rows are in the store, and speak for ``covered``."""

    def remark(self, text: str) -> None:
        """Something that the user should know."""


class Source(Protocol):
    """Brings what there is of a want's missing time, in any order.

    What it does not have it leaves out; who asked sees that in the store. Raises DataError for
    data that cannot be right and UnreachableError when nobody answers.
    """

    name: str

    async def deliver(self, wanted: Want, parts: I64, take: Take) -> None:
        """Hand over the rows of ``parts`` ([k, 2] µs, inside the want's span)."""
