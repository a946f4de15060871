"""The words of a command line: the command's own, and settings of the run that it is about."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Sequence

from apex_trader.errors import ApexError
from apex_trader.runtime.config import Config
from apex_trader.runtime.typed import settings


def split_words(
    arguments: Sequence[str], own: Collection[str], ignored: Collection[str] = ()
) -> tuple[dict[str, str], list[str]]:
    """(the command's own words by name, the other ones) of arguments ``name=value``.

    ignored: groups of settings that change nothing for this command. ApexError for what is not
    understood, for a word that is one of ``own`` mistyped, and for an ignored setting.
    """
    words: dict[str, str] = {}
    overrides: list[str] = []
    for argument in arguments:
        key, found, value = argument.partition("=")
        if not found:
            raise ApexError(
                f"{argument!r} is not understood: write name=value, for example run=runs/… "
                "(--help explains)"
            )
        if key in own:
            words[key] = value
        else:
            _check(key, own, ignored)
            overrides.append(argument)
    return words, overrides


def _check(key: str, own: Collection[str], ignored: Collection[str]) -> None:
    known = key in settings(Config)
    close = difflib.get_close_matches(key, own, n=1)
    if close and "." not in key and not known:
        raise ApexError(f"there is no {key!r}; did you mean {close[0]}? (--help explains)")
    if known and key.partition(".")[0] in ignored:
        raise ApexError(f"{key} changes nothing here: leave it out")
