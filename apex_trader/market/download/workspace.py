"""The folder where files lie while they are downloaded, beside the store that they are for."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from apex_trader.errors import ApexError
from apex_trader.market import intervals
from apex_trader.market.leftovers import DOWNLOADS
from apex_trader.market.manifest import KindEntry
from apex_trader.market.naming import parse_name
from apex_trader.market.store import MarketStore

_SUFFIXES = (".part", ".etag")


def workspace_folder(store: MarketStore) -> Path:
    """Inside a local store; of a remote store in the user's cache, by the store's URL."""
    if store.files.local:
        return Path(store.files.root) / DOWNLOADS
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    name = hashlib.blake2b(store.url.encode(), digest_size=8).hexdigest()
    return cache / "apex-trader" / "downloads" / name


@contextlib.contextmanager
def workspace(store: MarketStore) -> Iterator[Path]:
    """The folder, for one download at a time; it is gone afterwards unless something is left in it.

    What an interrupted download left is kept for whoever goes on with it, but not what the store
    has got since.
    """
    folder = workspace_folder(store)
    handle = _locked(folder, store.url)
    try:
        _sweep(folder, store)
        yield folder
    finally:
        _remove_empty(folder)
        os.close(handle)


def _locked(folder: Path, url: str) -> int:
    """An open, locked handle of the folder. The operating system lifts it when its owner dies."""
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            handle = os.open(folder, os.O_RDONLY)
        except OSError as error:
            raise ApexError(f"{folder} cannot be written: {error.strerror or error}") from None
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if folder.exists() and os.fstat(handle).st_ino == folder.stat().st_ino:
                return handle
            # Another download ended just now and took its folder away.
            os.close(handle)
        except BlockingIOError:
            os.close(handle)
            raise ApexError(
                f"another download into the store {url} is under way: wait for it to end"
            ) from None


def _sweep(folder: Path, store: MarketStore) -> None:
    """Delete files whose time the store has: their download was killed after the last step."""
    for path in folder.glob("*/*"):
        name = path.name
        for suffix in _SUFFIXES:
            name = name.removesuffix(suffix)
        try:
            found = parse_name(name, path.parent.name)
        except ApexError:
            continue
        entry = store.manifest.markets.get(found.market)
        held = KindEntry() if entry is None else entry.kinds.get(found.kind, KindEntry())
        span = intervals.one(*(found.covered or (0, 0)))
        if len(intervals.subtract(span, held.covered())) == 0:
            path.unlink(missing_ok=True)


def _remove_empty(folder: Path) -> None:
    for path in [*folder.glob("*/"), folder]:
        with contextlib.suppress(OSError):
            path.rmdir()
