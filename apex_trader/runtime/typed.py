"""From a plain configuration to typed dataclasses, with errors in the user's own words."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from apex_trader.errors import ConfigError

T = TypeVar("T")


def to_typed(kind: type[T], values: Mapping[str, Any], path: str = "") -> T:
    """The dataclass ``kind`` filled from ``values``, nested dataclasses too.

    Raises ConfigError with the dotted field, the value and what is allowed: for unknown keys
    (with the closest known one), wrong types, missing values, and whatever the dataclass itself
    refuses.
    """
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
    for key in values:
        if key not in known:
            raise ConfigError(_join(path, key), values[key], _unknown(str(key), known))
    filled = {}
    for name, field in known.items():
        place = _join(path, name)
        if name in values:
            filled[name] = _convert(hints[name], values[name], place)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ConfigError(place, None, "a value is needed here")
    try:
        return kind(**filled)
    except ConfigError as error:
        raise _placed(error, kind, path) from None


def _placed(error: ConfigError, kind: type, path: str) -> ConfigError:
    """The error in terms of the whole tree: a part knows its field, not where the part hangs."""
    prefix, _, leaf = error.field.rpartition(".")
    if path:
        allowed = error.allowed.replace(f"{prefix}.", f"{path}.") if prefix else error.allowed
        return ConfigError(_join(path, leaf), error.value, allowed)
    known = settings(kind)
    if error.field in known:
        return error
    ending = [name for name in known if name.endswith(f".{leaf}")]
    field = ending[0] if len(ending) == 1 else error.field
    return ConfigError(field, error.value, error.allowed)


def settings(kind: type, path: str = "") -> dict[str, Any]:
    """Dotted name → type hint of every leaf of a tree of dataclasses, in their order."""
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for field in fields(kind):
        name, inner = _join(path, field.name), _dataclass_in(hints[field.name])
        found |= settings(inner, name) if inner is not None else {name: hints[field.name]}
    return found


def _convert(hint: Any, value: Any, place: str) -> Any:
    inner = _dataclass_in(hint)
    if inner is not None and value is not None:
        if not isinstance(value, Mapping):
            raise ConfigError(place, value, f"a group of settings: {_names(inner)}")
        return to_typed(inner, value, place)
    if hint is str and value is None:
        return ""  # `name=` on a command line: empty, not unknown
    try:
        adapter = TypeAdapter(hint, config=ConfigDict(strict=False))
        if _is_whole(hint) and isinstance(value, bool):
            raise ConfigError(place, value, "a whole number")
        return adapter.validate_python(value)
    except ValidationError:
        raise ConfigError(place, value, describe(hint)) from None


def _dataclass_in(hint: Any) -> type | None:
    """The dataclass of ``hint`` or of its Optional, if it is one."""
    options: Iterable[Any] = (hint,)
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
    return next((o for o in options if is_dataclass(o) and isinstance(o, type)), None)


def _is_whole(hint: Any) -> bool:
    return hint is int or int in typing.get_args(hint)


def describe(hint: Any) -> str:
    """What a type allows, in words."""
    origin, inside = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return "one of " + ", ".join(map(str, inside))
    if origin is tuple:
        return f"a list of {_MANY.get(inside[0], 'values')}, written [first,second]"
    if origin in (typing.Union, types.UnionType):
        words = [describe(option) for option in inside if option is not type(None)]
        return " or ".join([*words, "null"] if type(None) in inside else words)
    return _ONE.get(hint, "a group of names and values, written {name: value}")


_ONE = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
_MANY = {int: "whole numbers", float: "numbers", str: "texts"}


def _unknown(key: str, known: Mapping[str, Any]) -> str:
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"no such setting; {hint}known here: {', '.join(sorted(known))}"


def _names(kind: type) -> str:
    return ", ".join(f.name for f in fields(kind))


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
