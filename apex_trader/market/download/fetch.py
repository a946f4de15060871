"""Fetching one file over HTTP: resumed byte-exactly, verified by its published SHA-256.

The bytes so far lie in ``NAME.part``; ``NAME.etag`` names the version of the file that they belong
to. A repetition asks for the rest with Range and If-Range (RFC 9110, 13.1.5 and 14.2): when the
file has changed meanwhile, the server sends the whole of it and the part begins anew. ``NAME``
itself appears only once whole and verified.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from urllib.parse import urlsplit

import aiohttp

from apex_trader.errors import ApexError, DataError
from apex_trader.market.download.source import AGAIN_OR_REST
from apex_trader.market.exchange.config import ExchangeConfig
from apex_trader.market.exchange.retry import Again, Retry, UnreachableError, retry_after

#: What to do about checksums: demand them, use them where they are published, ignore them.
Checksums = Literal["always", "published", "never"]
T = TypeVar("T")
_CHUNK = 1 << 18
#: A line of sha256sum: the digest, and perhaps the file's name.
_CHECKSUM = re.compile(r"([0-9a-fA-F]{64})\b(?:[ \t]+\*?(?:[^\s/]*/)*([^\s/]+))?")
#: Statuses after which a request is repeated.
_PASSING = {408, 418, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Place:
    """Where a file comes from and where it goes."""

    url: str
    path: Path

    @property
    def part(self) -> Path:
        """The bytes that are there already."""
        return self.path.with_name(self.path.name + ".part")

    @property
    def tag(self) -> Path:
        """Which version of the file they are of."""
        return self.path.with_name(self.path.name + ".etag")

    def drop(self) -> None:
        """Forget every byte of it."""
        for path in (self.path, self.part, self.tag):
            path.unlink(missing_ok=True)


def http_session(config: ExchangeConfig) -> aiohttp.ClientSession:
    """A session for an archive: silence is limited, the length of a download is not."""
    local = urlsplit(config.archive_url).hostname in ("127.0.0.1", "::1", "localhost")
    return aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(
            total=None, sock_connect=config.timeout, sock_read=config.timeout
        ),
        # Compressed on the way, a file's bytes could not be counted.
        headers={"Accept-Encoding": "identity"},
        trust_env=not local,
    )


class Fetcher:
    """Fetches files; ``on_bytes`` is told of every piece that arrives.

    A request that fails in a way that may pass is repeated as ``retry`` says.
    """

    def __init__(
        self, session: aiohttp.ClientSession, retry: Retry, checksums: Checksums = "always"
    ) -> None:
        self._session, self._retry, self._checksums = session, retry, checksums

    async def fetch(self, place: Place, on_bytes: Callable[[int], None]) -> bool:
        """Put the file in its place; False where it is not published.

        A file that differs from its checksum is deleted and fetched once more. DataError when it
        differs again; UnreachableError when the server does not answer.
        """
        for last_try in (False, True):
            wanted = await self._checksum(place)
            if wanted is None and self._checksums == "always":
                if not await self._exists(place):
                    return False
                raise DataError(
                    place.path.name, f"no checksum is published at {place.url}.CHECKSUM",
                    "--verify-checksums published takes such files as they are",
                )  # fmt: skip
            if not place.path.exists() and not await self._download(place, on_bytes):
                return False
            source = place.path if place.path.exists() else place.part
            found = None if wanted is None else await asyncio.to_thread(_sha256, source)
            if found == wanted:
                source.replace(place.path)
                place.tag.unlink(missing_ok=True)
                return True
            place.drop()
            if last_try:
                raise DataError(
                    place.path.name, f"its SHA-256 is {found}, not the published {wanted}, twice",
                    AGAIN_OR_REST,
                )  # fmt: skip
        raise AssertionError("unreachable")

    async def _checksum(self, place: Place) -> str | None:
        """The published SHA-256, or None. DataError when it is said to be of another file."""
        if self._checksums == "never":
            return None
        published = place.url.rpartition("/")[2]

        async def once() -> str | None:
            async with self._session.get(f"{place.url}.CHECKSUM") as response:
                if response.status == 404:
                    return None
                _refuse(response, f"{place.url}.CHECKSUM")
                text = await response.text(errors="replace")
            found = _CHECKSUM.match(text)
            if found is None:
                raise Again("a checksum file without a checksum")
            if (found[2] or published) != published:
                raise DataError(
                    f"{published}.CHECKSUM", f"it is the checksum of {found[2]}, another file; "
                    f"asked for at {place.url}.CHECKSUM", AGAIN_OR_REST,
                )  # fmt: skip
            return found[1].lower()

        return await self._retry.call(f"{place.url}.CHECKSUM", _passing(once))

    async def _exists(self, place: Place) -> bool:
        async def once() -> bool:
            async with self._session.head(place.url) as response:
                if response.status == 404:
                    return False
                _refuse(response, place.url)
                return True

        return await self._retry.call(place.url, _passing(once))

    async def _download(self, place: Place, on_bytes: Callable[[int], None]) -> bool:
        async def once() -> bool:
            begun = _begun(place)
            headers = {}
            if begun:
                headers = {"Range": f"bytes={begun}-", "If-Range": place.tag.read_text()}
            async with self._session.get(place.url, headers=headers) as response:
                if response.status == 404:
                    return False
                if response.status == 416:
                    return _is_whole(response, place, begun)
                _refuse(response, place.url)
                if response.status == 206 and _offset(response) != begun:
                    place.drop()
                    raise Again("a range that was not asked for")
                await _receive(response, place, begun, on_bytes)
            return True

        while True:
            before = _size(place)
            try:
                return await self._retry.call(place.url, _passing(once))
            except UnreachableError:
                # A bad line is no dead one: as long as bytes come, go on.
                if _size(place) <= before:
                    raise


def _size(place: Place) -> int:
    return place.part.stat().st_size if place.part.exists() else 0


def _begun(place: Place) -> int:
    """Bytes that a repetition may build on: those whose version is known."""
    if place.part.exists() and place.tag.exists() and place.tag.read_text():
        return place.part.stat().st_size
    place.drop()
    return 0


async def _receive(
    response: aiohttp.ClientResponse, place: Place, begun: int, on_bytes: Callable[[int], None]
) -> None:
    resumed = response.status == 206
    if not resumed:
        place.drop()
        # Which version the bytes are of must be known before there are any. A weak tag does not
        # promise equal bytes, so it cannot be built on.
        tag = response.headers.get("ETag", "")
        place.tag.write_text("" if tag.startswith("W/") else tag)
    with open(place.part, "ab" if resumed else "wb") as handle:
        async for chunk in response.content.iter_chunked(_CHUNK):
            handle.write(chunk)
            on_bytes(len(chunk))


def _is_whole(response: aiohttp.ClientResponse, place: Place, begun: int) -> bool:
    """A range beyond the end: there was nothing left to fetch, or the part is not the file's."""
    total = response.headers.get("Content-Range", "").rpartition("/")[2]
    if total == str(begun):
        return True
    place.drop()
    raise Again("the part was longer than the file")


def _offset(response: aiohttp.ClientResponse) -> int | None:
    found = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
    return None if found is None else int(found[1])


def _refuse(response: aiohttp.ClientResponse, url: str) -> None:
    """Raise for statuses without content."""
    if response.status in _PASSING:
        wait = retry_after(response.headers.get("Retry-After"), time.time())
        raise Again(f"{response.status} {response.reason}", wait)
    if response.status not in (200, 206):
        raise ApexError(f"{url} answers {response.status} {response.reason}: check --archive-url")


def _passing(once: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
    """``once`` with broken connections and silence as reasons to ask again."""

    async def request() -> T:
        try:
            return await once()
        except TimeoutError:
            raise Again("no answer in time") from None
        except aiohttp.TooManyRedirects:
            raise Again("redirects without end") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Again(str(error) or type(error).__name__) from None

    return request


def _sha256(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
