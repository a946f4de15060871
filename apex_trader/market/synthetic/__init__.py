"""Synthetic markets: seeded laws whose edge is known, and ticks drawn inside real minutes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from apex_trader.errors import ConfigError
from apex_trader.market.synthetic.base import Generator
from apex_trader.market.synthetic.densified import Densified
from apex_trader.market.synthetic.lead_lag import LeadLag
from apex_trader.market.synthetic.martingale import Martingale
from apex_trader.market.synthetic.mean_reversion import MeanReversion
from apex_trader.market.synthetic.parameters import Parameter, close_match
from apex_trader.market.synthetic.regimes import Regimes
from apex_trader.market.synthetic.world import SynthesisSummary, SyntheticMarket

if TYPE_CHECKING:
    from apex_trader.market.store import MarketStore

__all__ = [
    "GENERATORS",
    "Generator",
    "Parameter",
    "SynthesisSummary",
    "SyntheticMarket",
    "generate",
    "generator_named",
    "hidden",
    "parameter_table",
    "synthesize",
]

GENERATORS: Mapping[str, Generator] = {
    generator.name: generator
    for generator in (Martingale(), MeanReversion(), LeadLag(), Regimes(), Densified())
}


def generator_named(name: str) -> Generator:
    """The generator of that name; ConfigError names those there are."""
    if name not in GENERATORS:
        allowed = f"one of {', '.join(GENERATORS)}{close_match(name, list(GENERATORS))}"
        raise ConfigError("generator", name, allowed)
    return GENERATORS[name]


def parameter_table(name: str, clock: str = "1s") -> list[Parameter]:
    """Name, default, meaning and allowed values of each parameter of a generator."""
    table = generator_named(name).parameters
    return [parameter.of_minutes() if clock == "1m" else parameter for parameter in table]


def synthesize(
    name: str, store: MarketStore, *, seed: int, **parameters: object
) -> SynthesisSummary:
    """Write a synthetic market to a store.

    Args:
        name: a key of ``GENERATORS``.
        store: where the markets go; ``densified`` also reads its minute bars there.
        seed: 0 or more; the same seed and parameters write the same bits.
        parameters: see ``parameter_table``; numbers may be given as text.

    Raises ConfigError for an unknown generator or parameter (with the closest match) and for a
    value out of range.
    """
    return generator_named(name).synthesize(store, seed, **parameters)


def generate(
    name: str, seed: int, *, store: MarketStore | None = None, **parameters: object
) -> dict[str, SyntheticMarket]:
    """The same markets in memory, by name ("synthetic:ETHUSDT"), with their hidden state."""
    return generator_named(name).generate(seed, store, **parameters)


def hidden(name: str, seed: int, **parameters: object) -> dict[str, dict[str, NDArray[Any]]]:
    """Each market's hidden state, recomputed from what ``MarketInfo.synthetic`` holds.

    Bit for bit the ``hidden`` of ``generate``, without drawing the tape. Columns [n]: ``ts`` µs UTC
    and, known to a clairvoyant at each ts, ``log_price``, ``volatility`` per √second and what the
    generator's docstring names.
    """
    generator = generator_named(name)
    if name == "densified":
        return {}
    world = generator.world(seed, generator.resolve(parameters), None)
    return {market: world.hidden(market) for market in world.infos}
