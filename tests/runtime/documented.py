"""The metrics that docs/metrics.md names, as patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from apex_trader.experience import STRATA
from apex_trader.trading.rewards import TERMS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
PLACES = {
    "horizon": ("5m", "15m", "1h", "4h"),
    "baseline": ("majority", "last_sign", "logistic"),
    "stratum": STRATA,
    "term": TERMS,
    "action": ("short", "flat", "long", "sell", "buy"),
}


def documented() -> set[str]:
    """Every name in the page's tables, the places of each kind filled in."""
    rows = [
        line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")
    ]
    names = [name for row in rows for name in re.findall(r"`([a-z]+/[^`]+)`", row.split(" | ")[0])]
    found: set[str] = set()
    for name in names:
        found |= set(_filled(name))
    return found


def undocumented(names: Iterable[str]) -> list[str]:
    """Those of ``names`` that the page does not explain."""
    known = documented()
    return sorted(name for name in names if "/" in name and name not in known)


def _filled(name: str) -> list[str]:
    for place, values in PLACES.items():
        if f"<{place}>" in name:
            return [full for v in values for full in _filled(name.replace(f"<{place}>", v))]
    return [name]
