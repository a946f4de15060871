"""Writes docs/configuration.md from the configuration's dataclasses.

    python docs/make_configuration.py

A field's meaning is what its class's docstring says after the field's name.
"""

from __future__ import annotations

import re
import typing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

from apex_trader.runtime.compose import CONF
from apex_trader.runtime.config import Config
from apex_trader.runtime.typed import describe

TARGET = Path(__file__).with_name("configuration.md")
INTRODUCTION = """\
# Configuration

Every setting of a run, its default and its meaning. On the command line a setting is
`group.name=value`; lists are `[a,b]`, "nothing" is `null`. `python -m apex_trader.train --cfg job`
prints the settings of the run that would start. An unknown name, a wrong type or an impossible
value ends the command at once, with the allowed values.

Experiments are settings under one name, chosen as `+experiment=NAME`: {experiments}. What is typed
beside them wins over them. This page is written by `python docs/make_configuration.py`.
"""


def page() -> str:
    """The whole page."""
    names = ", ".join(f"`{p.stem}`" for p in sorted((CONF / "experiment").glob("*.yaml")))
    return "\n".join([INTRODUCTION.format(experiments=names), *_sections(Config, "", Config())])


def _sections(kind: type, path: str, default: Any) -> list[str]:
    """A table of a dataclass's own settings, then those of the dataclasses inside it."""
    summary, meanings = split_docstring(kind)
    hints = typing.get_type_hints(kind)
    rows, inner = [], []
    for field in fields(kind):
        value = getattr(default, field.name)
        name = f"{path}.{field.name}" if path else field.name
        if is_dataclass(value):
            inner += _sections(type(value), name, value)
        else:
            meaning = _cell(meanings.get(field.name, ""))
            allowed = _cell(describe(hints[field.name]))
            rows.append(f"| `{name}` | `{_shown(value)}` | {allowed} | {meaning} |")
    head = ["", f"## {path or 'The run'}", "", summary, "",
            "| setting | default | type | meaning |", "|---|---|---|---|"]  # fmt: skip
    return [*head, *rows, *inner] if rows else inner


def split_docstring(kind: type) -> tuple[str, dict[str, str]]:
    """(the docstring's text before the first field, field → its meaning)."""
    text = " ".join((kind.__doc__ or "").split())
    names = [field.name for field in fields(kind)]
    listed = r"(?:^|(?<=[.;!?)]\s)|(?<=[.;!?][\"”]\s))"
    name = rf"(?:{'|'.join(names)})"
    marks = list(re.finditer(rf"{listed}({name}(?:, {name})*): ", text))
    summary = text[: marks[0].start()].strip() if marks else text
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    meanings: dict[str, str] = {}
    for mark, end in zip(marks, ends, strict=True):
        for field in mark.group(1).split(", "):
            meanings[field] = text[mark.end() : end].strip()
    for field in names:  # one that is explained in passing
        meanings.setdefault(field, _sentences_with(field, text))
    return summary, meanings


def _sentences_with(name: str, text: str) -> str:
    sentences = re.split(r"(?<=[.;])\s", text)
    return " ".join(s for s in sentences if re.search(rf"\b{name}\b", s))


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ",".join(map(str, value)) + "]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "''" if value == "" else str(value)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("``", "`")


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
