"""Atomic checkpoints: a folder of parts and a manifest, whole or not there at all.

``checkpoints/step-000123/`` holds the parts (``learner.pt``, ``replay-0.pt``, ``counters.json`` …)
and ``manifest.json``, written last, with each part's size and BLAKE2b digest and a digest of
itself. A folder without a manifest that agrees with every byte is not a checkpoint: it is passed
over with a warning and the one before is used.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any, cast

import torch

from apex_trader.errors import ApexError, MismatchError
from learner.folders import Folder, open_folder
from learner.serialise import read_state, write_state

#: A part is its bytes, or a function that writes them to a binary file.
Part = bytes | Callable[[IO[bytes]], None]

MANIFEST = "manifest.json"
BEST = "best.json"
FORMAT = 1
_NAME = re.compile(r"step-\d{6,}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_CHUNK = 1 << 20


class CheckpointWarning(UserWarning):
    """A checkpoint that is cut off or corrupt was passed over."""


class BrokenCheckpointError(ApexError):
    """A checkpoint whose bytes do not agree with its manifest."""


@dataclass(frozen=True)
class Checkpoint:
    """A complete checkpoint. Every part's bytes agreed with the manifest when it was opened.

    name: its folder, ``step-000123``. identity: what must agree on resume, e.g. the fingerprints
    of schema, extractor and segment registry.
    """

    name: str
    step: int
    identity: Mapping[str, str]
    parts: tuple[str, ...]
    _folder: Folder

    def has(self, part: str) -> bool:
        """Whether it holds a part of that name."""
        return part in self.parts

    def open(self, part: str) -> IO[bytes]:
        """The part as a binary file; the caller closes it. ApexError when there is none."""
        if part not in self.parts:
            raise ApexError(
                f"checkpoint {self.name} has no part {part!r}; it holds {', '.join(self.parts)}"
            )
        return self._folder.open(f"{self.name}/{part}")

    def read(self, part: str) -> bytes:
        """The part's bytes."""
        with self.open(part) as file:
            return file.read()

    def state(self, part: str, device: str | torch.device = "cpu") -> Any:
        """A part written by ``state_part``, tensors on ``device``; no code of the file is run."""
        with self.open(part) as file:
            return read_state(file, device)

    def json(self, part: str) -> Any:
        """A JSON part."""
        return json.loads(self.read(part))

    def require(self, identity: Mapping[str, str]) -> None:
        """MismatchError unless each of ``identity`` is what the checkpoint was made with.

        Checked before any part is read, so that a run never continues on another market,
        schema or extractor.
        """
        for key, wanted in identity.items():
            found = self.identity.get(key)
            if found != wanted:
                raise MismatchError(
                    f"checkpoint {self._folder.url}/{self.name} was made with {key} {found}, this "
                    f"run has {wanted}: resume with the configuration and market store that it "
                    "was started with, or start a new run"
                )


@dataclass(frozen=True)
class Best:
    """The best checkpoint so far: its name, and the metric that it won by."""

    name: str
    metric: str
    value: float


def state_part(state: object) -> Part:
    """A part from a state dictionary; read it with ``Checkpoint.state``."""
    return lambda file: write_state(state, file)


def json_part(value: object) -> bytes:
    """A part from plain values; read it with ``Checkpoint.json``."""
    return json.dumps(value, indent=1, sort_keys=True).encode()


class CheckpointManager:
    """Saves, finds and prunes the checkpoints of one run.

    folder: a local path or an fsspec URL. keep: how many complete ones stay, newest first; the
    best one stays as well. One writer at a time; readers may come and go meanwhile.
    Local checkpoints appear by a rename. On other stores the manifest is written last, which has
    the same effect, since nothing without a manifest is ever read.
    """

    def __init__(self, folder: str, keep: int = 3) -> None:
        if keep < 1:
            raise ApexError(f"checkpoint.keep={keep} cannot be used: keep at least 1")
        self._folder = open_folder(folder)
        self._keep = keep
        #: Names that stay until they are removed from here: they may turn out to be the best.
        self.held: set[str] = set()

    def save(
        self, step: int, parts: Mapping[str, Part], identity: Mapping[str, str] | None = None
    ) -> str:
        """Write a checkpoint and return its name; a complete one of the same step is replaced.

        Prunes older ones only after this one is whole. Raises ApexError when it cannot be
        written (disk full, no permission): earlier checkpoints stay valid.
        """
        _check_parts(step, parts)
        name = f"step-{step:06d}"
        try:
            self._folder.clean()
            with self._folder.staging(name) as stage:
                written = {part: _write(stage, part, data) for part, data in parts.items()}
                manifest = {"format": FORMAT, "name": name, "step": step,
                            "identity": dict(identity or {}), "parts": written}  # fmt: skip
                stage.write(MANIFEST, _signed(manifest))
        except OSError as error:
            raise ApexError(
                f"checkpoint {self._folder.url}/{name} could not be written: "
                f"{error.strerror or error}. Free space or mend the folder; the checkpoint "
                f"before it is untouched ({self._newest_name() or 'there is none'})"
            ) from error
        self._prune()
        return name

    def names(self) -> list[str]:
        """Names of all checkpoint folders, oldest first, complete or not."""
        found = [name for name in self._folder.list() if _NAME.fullmatch(name)]
        return sorted(found, key=_step)

    def load(self, name: str) -> Checkpoint:
        """The checkpoint of that name. Raises ApexError when it is missing, cut off or corrupt."""
        if name not in self.names():
            listed = ", ".join(self.names()) or "none"
            raise ApexError(f"{self._folder.url} has no checkpoint {name!r}; there are: {listed}")
        return self._open(name)

    def latest(self) -> Checkpoint | None:
        """The newest complete checkpoint, or None. Warns of each newer one that is not whole."""
        for name in reversed(self.names()):
            try:
                return self._open(name)
            except BrokenCheckpointError as error:
                warnings.warn(f"{error}; the one before is used", CheckpointWarning, stacklevel=2)
        return None

    def discard_after(self, name: str) -> list[str]:
        """Remove what is newer than ``name``, which a run is about to continue from."""
        newer = [other for other in self.names() if _step(other) > _step(name)]
        for other in newer:
            self._folder.remove(other)
        return newer

    def mark_best(self, name: str, metric: str, value: float) -> None:
        """Record ``name`` as the best checkpoint; it is kept however old it grows."""
        self._open(name)
        record = {"format": FORMAT, "name": name, "metric": metric, "value": value}
        try:
            self._folder.write_atomic(BEST, _signed(record))
        except OSError as error:
            raise ApexError(
                f"{self._folder.url}/{BEST} could not be written: {error.strerror or error}; "
                "the best checkpoint recorded before stays"
            ) from error

    def best(self) -> Best | None:
        """The best checkpoint's record; None when none was marked, or when record or checkpoint
        are gone."""
        try:
            record = _verified(self._folder.read(BEST), f"{self._folder.url}/{BEST}")
        except FileNotFoundError:
            return None
        except BrokenCheckpointError as error:
            warnings.warn(f"{error}; no best checkpoint is known", CheckpointWarning, stacklevel=2)
            return None
        if record["name"] not in self.names():
            warnings.warn(
                f"{self._folder.url}/{record['name']}, the best checkpoint, is gone; "
                "no best checkpoint is known", CheckpointWarning, stacklevel=2,
            )  # fmt: skip
            return None
        return Best(record["name"], record["metric"], float(record["value"]))

    def _open(self, name: str) -> Checkpoint:
        manifest = self._manifest(name)
        for part, facts in manifest["parts"].items():
            self._verify(name, part, facts)
        identity, parts = manifest["identity"], tuple(manifest["parts"])
        return Checkpoint(name, manifest["step"], identity, parts, self._folder)

    def _manifest(self, name: str) -> dict[str, Any]:
        place = f"{self._folder.url}/{name}"
        try:
            manifest = _verified(self._folder.read(f"{name}/{MANIFEST}"), place)
        except FileNotFoundError:
            raise BrokenCheckpointError(f"checkpoint {place} is cut off: no manifest") from None
        if manifest["format"] != FORMAT:
            raise MismatchError(
                f"checkpoint {place} has format {manifest['format']}, this version reads {FORMAT}: "
                "read it with the version that wrote it"
            )
        return manifest

    def _verify(self, name: str, part: str, facts: Mapping[str, Any]) -> None:
        place = f"checkpoint {self._folder.url}/{name}, part {part}"
        try:
            with self._folder.open(f"{name}/{part}") as file:
                size, digest = _digest(file)
        except FileNotFoundError:
            raise BrokenCheckpointError(f"{place}: missing") from None
        if size != facts["bytes"]:
            raise BrokenCheckpointError(f"{place}: {size} bytes where {facts['bytes']} were saved")
        if digest != facts["blake2b"]:
            raise BrokenCheckpointError(f"{place}: its content is not what was saved")

    def _newest_name(self) -> str | None:
        try:
            names = self.names()
        except OSError:
            return None
        return names[-1] if names else None

    def _prune(self) -> None:
        names = self.names()
        best = self.best()
        kept = {*names[-self._keep :], *self.held, *([best.name] if best else [])}
        for name in names:
            if name not in kept:
                self._remove(name)

    def _remove(self, name: str) -> None:
        try:
            self._folder.remove(name)
        except OSError as error:
            # The new checkpoint is whole: an old one that stays costs space, not the run.
            warnings.warn(
                f"old checkpoint {self._folder.url}/{name} could not be removed: {error}",
                CheckpointWarning,
                stacklevel=4,
            )


class _DigestWriter(io.RawIOBase):
    """Passes bytes on and keeps their digest, so that no part is read back to be hashed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.blake2b(digest_size=32)
        self.size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._hash.update(view)
        self._file.write(view)
        self.size += view.nbytes
        return view.nbytes

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _write(stage: Folder, part: str, data: Part) -> dict[str, object]:
    with stage.create(part) as file:
        writer = _DigestWriter(file)
        if isinstance(data, bytes):
            writer.write(data)
        else:
            data(cast(IO[bytes], writer))
        return {"bytes": writer.size, "blake2b": writer.digest}


def _digest(file: IO[bytes]) -> tuple[int, str]:
    digest, size = hashlib.blake2b(digest_size=32), 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


def _canonical(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, sort_keys=True).encode()


def _signed(record: Mapping[str, Any]) -> bytes:
    signature = hashlib.blake2b(_canonical(record), digest_size=32).hexdigest()
    return json.dumps({**record, "digest": signature}, indent=1, sort_keys=True).encode()


def _verified(data: bytes, place: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = dict(json.loads(data))
        signature = record.pop("digest")
    except (ValueError, TypeError, KeyError):
        raise BrokenCheckpointError(f"checkpoint {place} is cut off: bad manifest") from None
    if hashlib.blake2b(_canonical(record), digest_size=32).hexdigest() != signature:
        raise BrokenCheckpointError(f"checkpoint {place}: its manifest is not what was saved")
    return record


def _step(name: str) -> int:
    return int(name.removeprefix("step-"))


def _check_parts(step: int, parts: Mapping[str, Part]) -> None:
    if step < 0:
        raise ApexError(f"checkpoint step {step} cannot be used: a step is 0 or more")
    if not parts:
        raise ApexError("a checkpoint needs at least one part")
    for part in parts:
        if not _PART.fullmatch(part) or part == MANIFEST:
            raise ApexError(
                f"checkpoint part {part!r} cannot be used: a plain file name other than {MANIFEST}"
            )
