"""A server for the page, on an address of this machine."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from dash import Dash
from flask import abort, request
from werkzeug.serving import WSGIRequestHandler, make_server

from apex_trader.errors import ApexError

_NAMES = ("localhost", "127.0.0.1", "::1")


class _Quiet(WSGIRequestHandler):  # type: ignore[misc]
    def log_request(self, *_: Any) -> None:
        """Nothing: a page asks every other second."""


class PageServer:
    """Serves an application until it is closed.

    On a loopback address it answers to that address' names alone, so that no other site can read
    it through a name of its own that leads here.

    Raises ApexError when the address or the port cannot be had; port 0 takes any free one.
    """

    def __init__(self, app: Dash, host: str, port: int) -> None:
        self._socket = _bound(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        if is_local(host):
            app.server.before_request(_refuse_strangers)
        self._server = make_server(
            host, self.port, app.server, threaded=True, request_handler=_Quiet,
            fd=self._socket.fileno(),
        )  # fmt: skip
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def run(self) -> None:
        """Serve until Ctrl-C, which ends it without an error."""
        with suppress(KeyboardInterrupt):
            self._server.serve_forever()

    def close(self) -> None:
        """End it."""
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()
        self._socket.close()

    def __enter__(self) -> Self:
        """Serve in a thread of its own."""
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


def is_local(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _refuse_strangers() -> None:
    name = urlsplit(f"//{request.host}").hostname
    if name not in _NAMES and not (name and is_local(name)):
        abort(403)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
        found.listen(128)
    except OSError as error:
        found.close()
        if error.errno == errno.EADDRINUSE:
            raise ApexError(
                f"port {port} is in use, perhaps by another dashboard: choose another one "
                "(port=N), or port=0 for any that is free"
            ) from None
        why = error.strerror or error
        raise ApexError(f"the page cannot be served at {host}, port {port}: {why}") from None
    return found
