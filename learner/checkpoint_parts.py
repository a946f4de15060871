"""The parts of a checkpoint, with the digest of their bytes; other processes may write some."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from apex_trader.errors import ApexError
from learner.folders import Folder, LocalFolder

#: What a process writes itself: bytes, or a function that writes them to a binary file.
Content = bytes | Callable[[IO[bytes]], None]

_CHUNK = 1 << 20


@dataclass(frozen=True)
class SavedPart:
    """A part as it lies on a disk: of a checkpoint, or of one that is being written.

    Processes on machines that may share the disk give it to each other instead of the bytes.
    size, digest: of these.
    """

    path: str
    size: int
    digest: str

    def read(self) -> bytes | None:
        """The bytes; None where the path does not lead to them (another disk, or removed)."""
        try:
            data = Path(self.path).read_bytes()
        except OSError:
            return None
        return data if self.holds(data) else None

    def holds(self, data: bytes) -> bool:
        """Whether these are the part's bytes, as they were written."""
        return digest_of(io.BytesIO(data)) == (self.size, self.digest)


#: A part: what it holds, or where another process wrote it with ``write_part``.
Part = Content | SavedPart


def write_part(place: str, part: str, data: Content) -> SavedPart | None:
    """Write a part of a checkpoint that another process began, into its stage at ``place``.

    None where this machine does not see the stage: another disk, or abandoned meanwhile. Raises
    ApexError when the part cannot be written (disk full, no permission).
    """
    folder = Path(place)
    if not folder.is_dir():
        return None
    try:
        size, digest = write_content(LocalFolder(folder), part, data)
    except OSError as error:
        if not folder.is_dir():
            return None
        raise ApexError(
            f"checkpoint part {folder / part} could not be written: {error.strerror or error}. "
            "Free space or mend the folder; the checkpoint before it is untouched"
        ) from error
    return SavedPart(f"{place}/{part}", size, digest)


def write_content(stage: Folder, part: str, data: Content) -> tuple[int, str]:
    """Write a part and return (bytes, digest)."""
    with stage.create(part) as file:
        writer = _DigestWriter(file)
        if isinstance(data, bytes):
            writer.write(data)
        else:
            try:
                data(cast(IO[bytes], writer))
            except RuntimeError:
                # what torch says of a file that refused its bytes names no reason
                if writer.refused is None:
                    raise
                raise writer.refused from None
        return writer.size, writer.digest


def digest_of(file: IO[bytes]) -> tuple[int, str]:
    """(bytes, BLAKE2b digest) of the rest of a file."""
    digest, size = hashlib.blake2b(digest_size=32), 0
    while chunk := file.read(_CHUNK):
        digest.update(chunk)
        size += len(chunk)
    return size, digest.hexdigest()


class _DigestWriter(io.RawIOBase):
    """Passes bytes on and keeps their digest, so that no part is read back to be hashed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._hash = hashlib.blake2b(digest_size=32)
        self.size = 0
        #: The file's own error, None where it took all that it was given.
        self.refused: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._hash.update(view)
        try:
            self._file.write(view)
        except OSError as error:
            self.refused = error
            raise
        self.size += view.nbytes
        return view.nbytes

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()
