"""Atomic checkpoints: a folder of parts and a manifest, whole or not there at all.

``checkpoints/step-000123/`` holds the parts (``learner.pt``, ``replay-0.pt``, ``counters.json`` …)
and ``manifest.json``, written last, with each part's size and BLAKE2b digest and a digest of
itself. A folder without a manifest that agrees with every byte is not a checkpoint: it is passed
over with a warning and the one before is used.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import IO, Any

import torch

from apex_trader.errors import ApexError, MismatchError
from learner.checkpoint_parts import Content, Part, SavedPart, digest_of, write_content
from learner.folders import Folder, open_folder
from learner.serialise import read_state, write_state

MANIFEST = "manifest.json"
BEST = "best.json"
FORMAT = 1
_NAME = re.compile(r"step-\d{6,}")
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


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
    _facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, repr=False)

    def has(self, part: str) -> bool:
        """Whether it holds a part of that name."""
        return part in self.parts

    def open(self, part: str) -> IO[bytes]:
        """The part as a binary file; the caller closes it. ApexError when there is none."""
        self._check(part)
        return self._folder.open(f"{self.name}/{part}")

    def read(self, part: str) -> bytes:
        """The part's bytes."""
        with self.open(part) as file:
            return file.read()

    def saved(self, part: str) -> SavedPart:
        """Where the part lies, for another process; ``open`` reads it in this one."""
        self._check(part)
        facts = self._facts[part]
        path = f"{self._folder.url}/{self.name}/{part}"
        return SavedPart(path, facts["bytes"], facts["blake2b"])

    def state(self, part: str, device: str | torch.device = "cpu") -> Any:
        """A part written by ``state_part``, tensors on ``device``; no code of the file is run."""
        with self.open(part) as file:
            return read_state(file, device)

    def json(self, part: str) -> Any:
        """A JSON part."""
        return json.loads(self.read(part))

    def _check(self, part: str) -> None:
        if part not in self.parts:
            raise ApexError(
                f"checkpoint {self.name} has no part {part!r}; it holds {', '.join(self.parts)}"
            )

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


def state_part(state: object) -> Content:
    """A part from a state dictionary; read it with ``Checkpoint.state``."""
    return lambda file: write_state(state, file)


def json_part(value: object) -> bytes:
    """A part from plain values; read it with ``Checkpoint.json``."""
    return json.dumps(value, indent=1, sort_keys=True).encode()


class PendingCheckpoint:
    """A checkpoint that is being written: nobody sees it before it is committed.

    place: of its stage. Other processes that see it add parts with ``write_part``.
    """

    def __init__(self, folder: Folder, step: int) -> None:
        self.step, self._folder, self._name = step, folder, f"step-{step:06d}"
        self._context = ExitStack()
        self._stage = self._context.enter_context(folder.staging(self._name))
        self.place = self._stage.url

    def commit(self, parts: Mapping[str, Part], identity: Mapping[str, str]) -> Checkpoint:
        """Write the parts that are not there yet, then the manifest; it counts from then on.

        An error removes the stage, as ``abandon`` does.
        """
        with self._context:
            written = {part: self._part(part, data) for part, data in parts.items()}
            manifest = {"format": FORMAT, "name": self._name, "step": self.step,
                        "identity": dict(identity), "parts": written}  # fmt: skip
            self._stage.write(MANIFEST, _signed(manifest))
        return Checkpoint(
            self._name, self.step, dict(identity), tuple(parts), self._folder, written
        )

    def abandon(self) -> None:
        """Remove what was written so far. What is still being written elsewhere goes nowhere."""
        with suppress(_AbandonedError), self._context:
            raise _AbandonedError

    def _part(self, part: str, data: Part) -> dict[str, Any]:
        if isinstance(data, SavedPart):
            self._check(part, data)
            return {"bytes": data.size, "blake2b": data.digest}
        size, digest = write_content(self._stage, part, data)
        return {"bytes": size, "blake2b": digest}

    def _check(self, part: str, saved: SavedPart) -> None:
        if saved.path != f"{self.place}/{part}":
            raise ApexError(f"{saved.path} is not {part} of the checkpoint in {self.place}")
        with self._stage.open(part) as file:
            size = file.seek(0, os.SEEK_END)
        if size != saved.size:
            raise ApexError(f"{saved.path} has {size} bytes where {saved.size} were written")


class _AbandonedError(Exception):
    """A pending checkpoint comes to nothing."""


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
        return self.commit(self.begin(step), parts, identity).name

    def begin(self, step: int) -> PendingCheckpoint:
        """Begin a checkpoint to which other processes add parts; ``commit`` or ``abandon`` it.

        One at a time. Raises ApexError when its stage cannot be made.
        """
        with self._explained(step):
            self._folder.clean()
            return PendingCheckpoint(self._folder, step)

    def commit(
        self,
        pending: PendingCheckpoint,
        parts: Mapping[str, Part],
        identity: Mapping[str, str] | None = None,
    ) -> Checkpoint:
        """End what ``begin`` began, as ``save`` does: it is whole, or not there at all.

        parts: all of them; those that other processes wrote as ``write_part`` returned them.
        """
        _check_parts(pending.step, parts)
        with self._explained(pending.step):
            checkpoint = pending.commit(parts, identity or {})
        self._prune()
        return checkpoint

    @contextmanager
    def _explained(self, step: int) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ApexError(
                f"checkpoint {self._folder.url}/step-{step:06d} could not be written: "
                f"{error.strerror or error}. Free space or mend the folder; the checkpoint "
                f"before it is untouched ({self._newest_name() or 'there is none'})"
            ) from error

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
        return Checkpoint(name, manifest["step"], identity, parts, self._folder, manifest["parts"])

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
                size, digest = digest_of(file)
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
