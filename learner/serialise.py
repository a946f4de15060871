"""State dictionaries as bytes, read back without running any code from the file."""

from __future__ import annotations

import io
from typing import IO, Any

import numpy as np
import torch

from apex_trader.errors import ApexError

#: Marks a numpy array, which is stored as a tensor so that a weights-only load can read it.
_NUMPY = "__numpy__"


def write_state(state: object, file: IO[bytes]) -> None:
    """Write a state dictionary: dicts, lists, tuples, tensors, numpy arrays and plain values.

    Tensors are stored as they lie, with their device; ``read_state`` maps them. Raises ApexError
    for anything else, naming the key, so that what cannot be read back is never written.
    """
    torch.save(_encode(state, "state"), file)


def read_state(file: IO[bytes], device: str | torch.device = "cpu") -> Any:
    """What ``write_state`` wrote, tensors on ``device``. Runs no code from the file."""
    return _decode(torch.load(file, map_location=device, weights_only=True))


def state_bytes(state: object) -> bytes:
    """``write_state`` into memory."""
    buffer = io.BytesIO()
    write_state(state, buffer)
    return buffer.getvalue()


def _encode(value: object, place: str) -> object:
    if value is None or isinstance(value, bool | int | float | str | bytes | torch.Tensor):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return _encode_array(value, place)
    if isinstance(value, dict):
        return {_key(k, place): _encode(v, f"{place}[{k!r}]") for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_encode(v, f"{place}[{i}]") for i, v in enumerate(value)])
    raise ApexError(
        f"{place} is a {type(value).__name__}, which a checkpoint cannot hold: "
        "use tensors, numpy arrays and plain values"
    )


def _encode_array(array: np.ndarray[Any, Any], place: str) -> dict[str, object]:
    if array.dtype.kind not in "biuf":
        raise ApexError(
            f"{place} is a numpy array of {array.dtype}, which a checkpoint cannot hold: "
            "use numbers or booleans"
        )
    # Bytes keep every dtype exact, and ascontiguousarray copies only when it has to.
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    stored = torch.from_numpy(flat if flat.flags.writeable else flat.copy())
    return {_NUMPY: array.dtype.str, "shape": list(array.shape), "data": stored}


def _key(key: object, place: str) -> object:
    if isinstance(key, str | int) and key != _NUMPY:
        return key
    raise ApexError(f"{place} has the key {key!r}: a checkpoint's keys are texts or numbers")


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if _NUMPY in value:
            data = value["data"].cpu().numpy().view(np.dtype(value[_NUMPY]))
            return data.reshape(value["shape"])
        return {k: _decode(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)([_decode(v) for v in value])
    return value
