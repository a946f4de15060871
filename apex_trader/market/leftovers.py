"""Files in a store's folder that are not part of the store, left by writes that were killed."""

from __future__ import annotations

import re

from apex_trader.market.store import MarketStore
from apex_trader.market.transaction import STORE_FILE, live_files

#: Folder of downloads that are under way, inside a local store. None of it is part of the store.
DOWNLOADS = ".downloads"
#: Kind of the folders in which a live feed records what came too late: kept for good.
REVISIONS = "revisions"
#: Folder of what was tried on the store's markets, see ``evaluation.ledger``: no part of it either.
LEDGER = "ledger"

#: Files that a store writes, whole or half written.
_OWN = re.compile(
    r"(?:exchange=[^/]+/symbol=[^/]+/kind=[^/]+/date=[^/]+/(?:part|minutes)-[0-9a-f]{16}\.parquet"
    r"|store\.json)(?:\.tmp-\d+)?"
)


def leftovers(store: MarketStore) -> list[str]:
    """Files that the store does not name, relative to it.

    Unfinished downloads, recorded revisions and the ledger of trials are none of them.
    """
    live = live_files(store.manifest) | {STORE_FILE, "store.lock"}
    return [
        name
        for name in store.files.listing(deep=True)
        if name not in live
        and not name.startswith((f"{DOWNLOADS}/", f"{LEDGER}/"))
        and f"/kind={REVISIONS}/" not in name
    ]


def remove_leftovers(store: MarketStore) -> int:
    """Delete those that a store writes itself, while nobody writes; how many there were.

    Whatever else lies in the folder is not ours to touch. StoreBusyError when somebody writes.
    """
    with store.files.lock():
        store.reload()
        found = [name for name in leftovers(store) if _OWN.fullmatch(name)]
        for name in found:
            store.files.remove(name)
    return len(found)


def unfinished(store: MarketStore) -> list[str]:
    """Files of downloads that were interrupted, relative to the store."""
    return store.files.listing(DOWNLOADS, deep=True)
