"""Every trial and every look at a test period, for good: what a result was chosen from.

An entry is one small JSON object in a folder or under a URL, written once under a name of its own
and never changed: writers need no lock, and one that is killed leaves a whole entry or none. The
ledger lies in the market store, beside the data that the trials are of, so that a second run, user
or machine knows what was tried before.
"""

from __future__ import annotations

import getpass
import json
import time
import uuid
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from apex_trader.market.files import Files
from apex_trader.market.leftovers import LEDGER
from apex_trader.time import SECOND

F64 = NDArray[np.float64]


def _now() -> int:
    return int(time.time() * SECOND)


def _who() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a process without a user name
        return "unknown"


@dataclass(frozen=True)
class Trial:
    """A training run. Its parts are written anew when it is resumed: the newest of an id counts.

    id: of the run. market, experiment, run: what was trained on, and where. configuration: hash of
    all that a result depends on, but seed and period. trained: first and last training day (µs).
    days [d], daily [d]: days that chose its checkpoint (µs), and net log returns of the chosen
    agent on them, one continuous account. time (µs), who: of the entry.
    """

    id: str
    market: str
    experiment: str
    run: str
    configuration: str
    seed: int
    trained: tuple[int, int]
    days: tuple[int, ...]
    daily: tuple[float, ...]
    time: int = field(default_factory=_now)
    who: str = field(default_factory=_who)


@dataclass(frozen=True)
class Touch:
    """A look at days that no part of the run had used.

    trial: id of the run; run, checkpoint: where and which. market, days (µs): what was judged.
    command: what did. net_return, sharpe (annualised; None for too few days), fee: the result, and
    its costs. time (µs), who: of the entry.
    """

    trial: str
    run: str
    checkpoint: str
    market: str
    days: tuple[int, ...]
    command: str
    net_return: float
    sharpe: float | None
    fee: float
    time: int = field(default_factory=_now)
    who: str = field(default_factory=_who)


Entry = TypeVar("Entry", Trial, Touch)
_FOLDERS = {Trial: "trials", Touch: "touches"}


class Ledger:
    """The entries under a folder or fsspec URL; a place that does not exist is an empty ledger."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._files = Files(url)
        #: Entries that could not be read when last asked.
        self.unreadable = 0

    @classmethod
    def of_store(cls, url: str) -> Ledger:
        """The ledger of the market store at a folder or URL."""
        return cls(f"{url.rstrip('/')}/{LEDGER}")

    def add(self, entry: Trial | Touch) -> None:
        """Write an entry. ApexError when the place cannot be written."""
        name = f"{_FOLDERS[type(entry)]}/{entry.time}-{uuid.uuid4().hex}.json"
        self._files.write(name, json.dumps(asdict(entry)).encode())

    def trials(self, market: str) -> list[Trial]:
        """The newest entry of each trial on a market, in the order they were begun."""
        newest: dict[str, Trial] = {}
        for entry in self._read(Trial):
            if entry.market == market:
                newest[entry.id] = entry
        return list(newest.values())

    def touches(self, market: str, days: Iterable[int]) -> list[Touch]:
        """Looks at any of these days of a market so far, the oldest first."""
        wanted = set(days)
        return [t for t in self._read(Touch) if t.market == market and wanted & set(t.days)]

    def _read(self, kind: type[Entry]) -> list[Entry]:
        found: list[Entry] = []
        self.unreadable = 0
        for name in self._files.listing(_FOLDERS[kind]):
            if not name.endswith(".json"):
                continue  # half written by a process that is gone, or at work
            entry = _parse(kind, self._files.read(name))
            if entry is None:
                self.unreadable += 1
            else:
                found.append(entry)
        return sorted(found, key=lambda entry: entry.time)


def _parse(kind: type[Entry], content: bytes | None) -> Entry | None:
    try:
        values: dict[str, Any] = json.loads(content or b"")
        known = {f.name: values[f.name] for f in fields(kind)}
    except (ValueError, KeyError, TypeError):
        return None
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    return kind(**{**known, **lists})


def distinct(trials: Iterable[Trial]) -> list[Trial]:
    """The newest trial of each configuration and seed: the folds and repetitions of one are no
    further choices."""
    newest = {(trial.configuration, trial.seed): trial for trial in trials}
    return list(newest.values())


def common_days(trials: Iterable[Trial], days: Iterable[int]) -> F64:
    """[d, t] daily log returns of the trials that were chosen on the same of these days.

    A trial names the days on which something could be decided: where the data have a hole, fewer
    than were asked for. Of several such sets, that of most trials counts.
    """
    asked = set(days)
    chosen = [trial for trial in distinct(trials) if trial.days and asked.issuperset(trial.days)]
    counts = Counter(trial.days for trial in chosen)
    wanted = max(counts, key=lambda held: (counts[held], len(held)), default=())
    columns = [trial.daily for trial in chosen if trial.days == wanted]
    return np.array(columns, np.float64).reshape(len(columns), len(wanted)).T
