"""docs/configuration.md is what the dataclasses say."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from apex_trader.runtime.config import Config
from apex_trader.runtime.typed import settings

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("maker", DOCS / "make_configuration.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(maker):
    assert (DOCS / "configuration.md").read_text(encoding="utf-8") == maker.page(), (
        "run `python docs/make_configuration.py`"
    )


def test_every_setting_is_there_with_a_meaning(maker):
    lines = [line for line in maker.page().splitlines() if line.startswith("| `")]
    table = {line.split("`")[1]: line.rsplit(" | ", 1)[1].strip(" |") for line in lines}
    assert set(table) == set(settings(Config))
    assert [name for name, meaning in table.items() if not meaning] == []


def test_fields_that_share_a_sentence_share_its_meaning(maker):
    @dataclass
    class Group:
        """A group. first, second: of a pair. third: the rest, as in
        ``first``: not a new field."""

        first: int = 0
        second: int = 0
        third: int = 0

    summary, meanings = maker.split_docstring(Group)
    assert summary == "A group."
    assert meanings["first"] == meanings["second"] == "of a pair."
    assert meanings["third"].startswith("the rest")
