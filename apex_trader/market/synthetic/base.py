"""What every generator of synthetic markets offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from apex_trader.errors import ConfigError
from apex_trader.market.source import MarketInfo
from apex_trader.market.synthetic.assembly import assemble
from apex_trader.market.synthetic.parameters import Parameter, resolve
from apex_trader.market.synthetic.world import SynthesisSummary, SyntheticMarket, World

if TYPE_CHECKING:
    from apex_trader.market.store import MarketStore


class Generator(ABC):
    """A seeded law of markets.

    name: as the user types it. summary: one line. The same seed and parameters give the same bits.
    """

    name: str
    summary: str

    @property
    @abstractmethod
    def parameters(self) -> tuple[Parameter, ...]:
        """What can be set, in the order of a table."""

    @abstractmethod
    def world(self, seed: int, resolved: Mapping[str, Any], store: MarketStore | None) -> World:
        """Draw the world; ``resolved`` holds every parameter."""

    def resolve(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Every parameter's value; ConfigError for an unknown name or a value out of range."""
        return resolve(self.name, self.parameters, given)

    def generate(
        self, seed: int, store: MarketStore | None = None, **parameters: object
    ) -> dict[str, SyntheticMarket]:
        """The markets in memory, by name. ``store`` is what ``densified`` reads its bars from."""
        return assemble(self.world(_checked(seed), self.resolve(parameters), store))

    def synthesize(self, store: MarketStore, seed: int, **parameters: object) -> SynthesisSummary:
        """Write the markets to a store, a day at a time; all of it becomes visible, or nothing.

        ConfigError when the store holds other data under the same market name.
        """
        resolved = self.resolve(parameters)
        world = self.world(_checked(seed), resolved, store)
        for info in world.infos.values():
            _check_place(store, info)
        rows: dict[str, dict[str, int]] = {market: {} for market in world.infos}
        with store.transaction() as transaction:
            for info in world.infos.values():
                transaction.set_info(info)
            for piece in world.pieces():
                transaction.write(piece.market, piece.data, covered=(piece.start, piece.end))
                counts = rows[piece.market]
                counts[piece.kind] = counts.get(piece.kind, 0) + len(piece.data)
        return SynthesisSummary(self.name, seed, resolved, rows)


def _check_place(store: MarketStore, info: MarketInfo) -> None:
    """A name in the store stands for one market: never mix worlds, nor real data with drawn."""
    if info.market in store.markets() and store.info(info.market).synthetic != info.synthetic:
        raise ConfigError(
            "exchange", info.market.split(":")[0],
            f"the store {store.url!r} holds another market named {info.market}: choose another "
            "exchange (--set exchange=NAME) or another store",
        )  # fmt: skip


def _checked(seed: int) -> int:
    if seed < 0:
        raise ConfigError("seed", seed, "a whole number, 0 or more")
    return seed
