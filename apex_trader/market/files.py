"""A store's files: a local folder or any fsspec URL, written so that no file is ever half there."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
from fsspec.implementations.local import LocalFileSystem

from apex_trader.errors import ApexError, DataError


def encode(table: pa.Table) -> bytes:
    """Parquet bytes of a table; equal tables give equal bytes."""
    sink = pa.BufferOutputStream()
    # Times and ids grow in small steps: their differences take a quarter off a file of minutes.
    rising = [name for name in ("ts", "id") if name in table.column_names]
    pq.write_table(
        table, sink, compression="zstd", version="2.6",
        use_dictionary=[name for name in table.column_names if name not in rising],
        column_encoding=dict.fromkeys(rising, "DELTA_BINARY_PACKED"),
    )  # fmt: skip
    return bytes(sink.getvalue().to_pybytes())


def digest(content: bytes) -> str:
    """Short hex digest that names a content."""
    return hashlib.blake2b(content, digest_size=8).hexdigest()


class StoreBusyError(ApexError):
    """Another process is writing to the store at this moment."""


class Files:
    """Files under one root, by their path relative to it."""

    def __init__(self, url: str | os.PathLike[str]) -> None:
        self.url = os.fspath(url)
        if not self.url:
            raise ApexError("the market store has no name: give a folder or a URL")
        try:
            self._fs, root = fsspec.core.url_to_fs(self.url)
        except (ValueError, ImportError) as error:
            raise ApexError(f"market store {self.url!r} cannot be opened: {error}") from None
        self.root = str(root).rstrip("/")
        self.local = isinstance(self._fs, LocalFileSystem)

    def path(self, name: str) -> str:
        """Full path of a file, for messages and for opening."""
        return posixpath.join(self.root, name)

    def read(self, name: str) -> bytes | None:
        """The file's bytes, or None when there is no such file."""
        try:
            return bytes(self._fs.cat_file(self.path(name)))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read_table(self, name: str) -> pa.Table:
        """A Parquet file's table. FileNotFoundError when it is gone, DataError when unreadable."""
        content = self.read(name)
        if content is None:
            raise FileNotFoundError(self.path(name))
        try:
            # Partitions are small: threads would cost more than they save.
            return pq.read_table(pa.BufferReader(content), use_threads=False)
        except (pa.ArrowException, OSError) as error:
            raise DataError(
                self.path(name), f"not a readable Parquet file ({error})",
                "`data verify` says what mends it",
            ) from None  # fmt: skip

    def write(self, name: str, content: bytes) -> None:
        """Put a file in place whole: locally by renaming, elsewhere by one atomic upload."""
        path = self.path(name)
        try:
            if not self.local:
                self._fs.makedirs(posixpath.dirname(path), exist_ok=True)
                self._fs.pipe_file(path, content)
                return
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            temporary = f"{path}.tmp-{os.getpid()}"
            with open(temporary, "wb") as handle:
                handle.write(content)
                handle.flush()
                os.fsync(handle.fileno())
            os.replace(temporary, path)
        except OSError as error:
            raise ApexError(f"cannot write {path}: {error.strerror or error}") from None

    def remove(self, name: str) -> None:
        """Delete a file, and local folders that are empty then; one not there is fine."""
        with contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(self.path(name))
        if self.local:
            folders = Path(self.path(name)).parents
            _remove_empty([f for f in folders if f.is_relative_to(self.root)][:-1])

    def listing(self, folder: str = "", *, deep: bool = False) -> list[str]:
        """Names of the files in a folder (and below it, when ``deep``), relative to the root."""
        path = self.path(folder) if folder else self.root
        try:
            found: list[Any] = self._fs.find(path, maxdepth=None if deep else 1)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(str(name)[len(self.root) + 1 :] for name in found)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One writer at a time. The operating system lifts it when the writer dies.

        Only local stores are locked; a remote store must have a single writer. Where nothing is
        written to a store that did not exist, its folders are gone again.
        """
        if not self.local:
            yield
            return
        root = Path(self.root)
        made = [folder for folder in (root, *root.parents) if not folder.exists()]
        try:
            root.mkdir(parents=True, exist_ok=True)
            handle = open(self.path("store.lock"), "wb")  # noqa: SIM115 (closed below)
        except OSError as error:
            raise ApexError(
                f"market store {self.url!r} cannot be written: {error.strerror or error}"
            ) from None
        with handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreBusyError(
                    f"another command is writing to the store {self.url}: wait for it to end"
                ) from None
            try:
                yield
            finally:
                if made and [path.name for path in root.iterdir()] == ["store.lock"]:
                    os.unlink(handle.name)
                    _remove_empty(made)


def _remove_empty(folders: Iterable[Path]) -> None:
    """Remove folders, innermost first, up to the first that is not empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()
