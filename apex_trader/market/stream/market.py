"""One streamed market: what is known of it, and whether its socket and REST agree."""

from __future__ import annotations

from apex_trader.market.exchange.listings import Listing
from apex_trader.market.stream.connection import Connection
from apex_trader.market.stream.funding import FundingSchedule
from apex_trader.market.stream.lane import Lane
from apex_trader.market.stream.overlap import Overlap
from apex_trader.market.stream.sequencer import Sequencer
from apex_trader.market.stream.venue import Venue


class StreamedMarket:
    """A market on its way from exchange to closed seconds.

    It is *whole* when its socket is subscribed, REST was asked after that what had come before,
    and no hole is open.
    """

    def __init__(
        self, lane: Lane, venue: Venue, connection: Connection,
        funding: FundingSchedule | None = None,
    ) -> None:  # fmt: skip
        self.lane, self.venue, self.connection, self.funding = lane, venue, connection, funding
        self.name = lane.market
        self.listing: Listing = venue.listing(lane.market)
        #: Local time (µs) from which on a REST answer joins what the socket says; None: no socket.
        self.joins_at: int | None = None
        self.joined = False
        #: Nothing was asked of REST yet.
        self.begun = False
        #: Local times (µs): the last sign that the socket tells all, and since when a hole is open.
        self.last_sign = 0
        self.hole_since: int | None = None
        self._hole_first = -1

    @property
    def funding_name(self) -> str:
        """Name under which closing waits for its funding payments."""
        return f"{self.name} funding"

    @property
    def sequence(self) -> Sequencer | Overlap:
        """What puts its trades in order."""
        return self.lane.sequence

    @property
    def whole(self) -> bool:
        """Whether nothing is known to be missing."""
        return self.joined and self.sequence.hole is None

    @property
    def needs_rest(self) -> bool:
        """Whether REST has something to tell."""
        if self.joins_at is not None and not self.joined:
            return True
        return not self.begun or self.sequence.hole is not None or bool(self._owes)

    @property
    def only_a_hole(self) -> bool:
        """Whether nothing but a hole in the socket's ids is to be asked for."""
        return self.begun and (self.joined or self.joins_at is None)

    def subscribed(self, at: int) -> None:
        """The socket says everything from local time ``at`` (µs) on."""
        self.joins_at, self.joined, self.last_sign = at, False, at

    def doubted(self, at: int) -> None:
        """Something that was said by local time ``at`` (µs) could not be used: REST knows it."""
        if self.joins_at is not None:
            self.joins_at, self.joined = max(self.joins_at, at), False

    def lost(self) -> None:
        """The socket is gone."""
        self.joins_at, self.joined = None, False
        if isinstance(self.sequence, Overlap):
            self.sequence.lost()

    def look_for_holes(self, now: int) -> None:
        """Take note of since when (local time, µs) the first missing id is missing."""
        hole = self.sequence.hole
        if hole is None:
            self.hole_since, self._hole_first = None, -1
        elif hole[0] != self._hole_first:
            self.hole_since, self._hole_first = now, hole[0]

    @property
    def _owes(self) -> bool:
        sequence = self.sequence
        return isinstance(sequence, Sequencer) and sequence.owed_since is not None
