"""What happened to the trades of one market on their way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class SequenceCounts:
    """Counts since the feed began.

    duplicates: came again over the socket. reordered: overtaken by later ones. backfilled: came by
    REST alone. garbage: impossible. absent: ids that the exchange itself does not have.
    """

    duplicates: int = 0
    reordered: int = 0
    backfilled: int = 0
    garbage: int = 0
    absent: int = 0
