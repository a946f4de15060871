"""A folder on the local disk or behind an fsspec URL, with writes that appear whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol
from uuid import uuid4

from apex_trader.errors import ApexError

_STAGING = ".tmp-"
_ASIDE = ".old-"


class Folder(Protocol):
    """What checkpoints need of a place to be kept in. Names are relative, with ``/``."""

    url: str

    def list(self) -> list[str]:
        """Names of the entries; empty when the folder is not there."""

    def open(self, name: str) -> IO[bytes]:
        """A file to read; FileNotFoundError when there is none."""

    def read(self, name: str) -> bytes:
        """A file's bytes; FileNotFoundError when there is none."""

    def create(self, name: str) -> AbstractContextManager[IO[bytes]]:
        """A new file to write, on the disk when the context ends."""

    def write(self, name: str, data: bytes) -> None:
        """A whole new file."""

    def write_atomic(self, name: str, data: bytes) -> None:
        """A file replaced in one step: a reader sees the old one or the new one."""

    def staging(self, name: str) -> AbstractContextManager[Folder]:
        """A folder to fill that becomes ``name``, in place of what was there, when the context
        ends well, and is removed when it ends with an error."""

    def remove(self, name: str) -> None:
        """Remove a folder and what is in it."""

    def clean(self) -> None:
        """Remove what killed writers left behind."""


def open_folder(url: str) -> Folder:
    """The folder of a local path or of an fsspec URL such as ``s3://bucket/run``."""
    if url.startswith("file://"):
        url = url.removeprefix("file://")
    return RemoteFolder.of(url) if "://" in url else LocalFolder(url)


class LocalFolder:
    """A local folder: files are flushed to the disk, folders appear by a rename."""

    def __init__(self, path: str | Path) -> None:
        self.url = str(path)
        self._path = Path(path)

    def list(self) -> list[str]:
        """See ``Folder.list``. A folder caught between two renames counts under its own name."""
        if not self._path.is_dir():
            return []
        return sorted({e.name.removeprefix(_ASIDE) for e in self._path.iterdir()})

    def open(self, name: str) -> IO[bytes]:
        """See ``Folder.open``."""
        return self._find(name).open("rb")

    def read(self, name: str) -> bytes:
        """See ``Folder.read``."""
        return self._find(name).read_bytes()

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """See ``Folder.create``."""
        with (self._path / name).open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())

    def write(self, name: str, data: bytes) -> None:
        """See ``Folder.write``."""
        with self.create(name) as file:
            file.write(data)

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Folder.write_atomic``."""
        temporary = f"{_STAGING}{os.getpid()}-{name}"
        try:
            self.write(temporary, data)
            os.replace(self._path / temporary, self._path / name)
        except OSError:
            (self._path / temporary).unlink(missing_ok=True)
            raise
        _sync_folder(self._path)

    @contextmanager
    def staging(self, name: str) -> Iterator[Folder]:
        """See ``Folder.staging``."""
        # No other attempt's: where a machine sees this folder, it shares the file system.
        stage = self._path / f"{_STAGING}{os.getpid()}-{uuid4().hex[:12]}-{name}"
        stage.mkdir(parents=True)
        try:
            yield LocalFolder(stage)
            _sync_folder(stage)
            self._put(stage, self._path / name)
        except BaseException:
            shutil.rmtree(stage, ignore_errors=True)
            raise

    def remove(self, name: str) -> None:
        """See ``Folder.remove``."""
        # Renamed first: a half-removed folder must not look like a cut-off one.
        doomed = self._path / f"{_STAGING}{os.getpid()}-removed-{name}"
        os.replace(self._path / name, doomed)
        shutil.rmtree(doomed, ignore_errors=True)

    def clean(self) -> None:
        """See ``Folder.clean``."""
        if not self._path.is_dir():
            return
        for path in self._path.glob(f"{_ASIDE}*"):
            target = self._path / path.name.removeprefix(_ASIDE)
            if not target.exists():
                os.replace(path, target)
        for path in [*self._path.glob(f"{_STAGING}*"), *self._path.glob(f"{_ASIDE}*")]:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def _put(self, stage: Path, target: Path) -> None:
        aside = self._path / f"{_ASIDE}{target.name}"
        if target.exists():
            os.replace(target, aside)
        os.replace(stage, target)
        _sync_folder(self._path)
        shutil.rmtree(aside, ignore_errors=True)

    def _find(self, name: str) -> Path:
        path, top = self._path / name, name.split("/")[0]
        # Between the two renames of _put the former folder is still whole, under its other name.
        return path if (self._path / top).exists() else self._path / f"{_ASIDE}{name}"


class RemoteFolder:
    """A folder behind an fsspec URL: objects appear whole, but folders cannot be renamed."""

    def __init__(self, url: str, filesystem: Any, root: str) -> None:
        self.url, self._fs, self._root = url, filesystem, root.rstrip("/")

    @classmethod
    def of(cls, url: str) -> RemoteFolder:
        """The folder of a URL. ApexError when its protocol is unknown or not installed."""
        from fsspec.core import url_to_fs

        try:
            filesystem, root = url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ApexError(f"{url} cannot be opened: {error}") from None
        return cls(url.rstrip("/"), filesystem, root)

    def list(self) -> list[str]:
        """See ``Folder.list``."""
        self._fs.invalidate_cache()
        if not self._fs.isdir(self._root):
            return []
        return [path.rstrip("/").rsplit("/", 1)[-1] for path in self._fs.ls(self._root, False)]

    def open(self, name: str) -> IO[bytes]:
        """See ``Folder.open``."""
        file: IO[bytes] = self._fs.open(self._at(name), "rb")
        return file

    def read(self, name: str) -> bytes:
        """See ``Folder.read``."""
        with self.open(name) as file:
            return file.read()

    @contextmanager
    def create(self, name: str) -> Iterator[IO[bytes]]:
        """See ``Folder.create``."""
        with self._fs.open(self._at(name), "wb") as file:
            yield file

    def write(self, name: str, data: bytes) -> None:
        """See ``Folder.write``."""
        with self.create(name) as file:
            file.write(data)

    def write_atomic(self, name: str, data: bytes) -> None:
        """See ``Folder.write_atomic``: object stores replace an object in one step."""
        self._fs.makedirs(self._root, exist_ok=True)
        self.write(name, data)

    @contextmanager
    def staging(self, name: str) -> Iterator[Folder]:
        """See ``Folder.staging``. It is filled in place: its manifest, written last, is what
        makes it count, so a former manifest goes first."""
        if self._fs.exists(self._at(name)):
            self.remove(name)
        self._fs.makedirs(self._at(name), exist_ok=True)
        try:
            yield RemoteFolder(f"{self.url}/{name}", self._fs, self._at(name))
        except BaseException:
            with suppress(OSError):
                self._fs.rm(self._at(name), recursive=True)
            raise

    def remove(self, name: str) -> None:
        """See ``Folder.remove``. The manifest goes first: what is left does not count."""
        manifest = f"{self._at(name)}/manifest.json"
        if self._fs.exists(manifest):
            self._fs.rm_file(manifest)
        self._fs.rm(self._at(name), recursive=True)

    def clean(self) -> None:
        """See ``Folder.clean``: nothing is staged elsewhere here."""

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
