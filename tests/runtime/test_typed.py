"""Plain values become typed settings, or one error that names the place as the user types it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest

from apex_trader.errors import ConfigError
from apex_trader.runtime.config import Config
from apex_trader.runtime.typed import settings, to_typed


@dataclass(frozen=True)
class Leaf:
    rate: float = 0.5
    sizes: tuple[int, ...] = (1, 2)

    def __post_init__(self) -> None:
        if self.rate < 0:
            # a part names itself by where it lives in the code, not in this tree
            raise ConfigError("parts.leaf.rate", self.rate, "0 or more, see parts.leaf.sizes")


@dataclass(frozen=True)
class Branch:
    leaf: Leaf = field(default_factory=Leaf)
    count: int = 3
    mode: Literal["one", "two"] = "one"
    limit: float | None = None
    free: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Tree:
    needed: str
    branch: Branch = field(default_factory=Branch)

    def __post_init__(self) -> None:
        if self.branch.count == 13:
            raise ConfigError("elsewhere.count", 13, "not thirteen")


def tree(**branch: Any) -> Tree:
    return to_typed(Tree, {"needed": "x", "branch": branch})


def test_what_is_not_given_keeps_its_default():
    assert tree(leaf={"rate": 0.1}) == Tree("x", Branch(leaf=Leaf(rate=0.1)))


def test_values_take_the_fields_type():
    made = tree(leaf={"sizes": [4, 5], "rate": 1}, limit="0.5", free={"a": [1]})
    assert made.branch == Branch(leaf=Leaf(1.0, (4, 5)), limit=0.5, free={"a": [1]})
    assert isinstance(made.branch.leaf.rate, float)


@pytest.mark.parametrize(
    ("branch", "message"),
    [
        ({"cuont": 3}, r"branch\.cuont=3 .*no such setting; did you mean 'count'\?"),
        ({"leaf": {"size": 3}}, r"branch\.leaf\.size=3 .*did you mean 'sizes'\?"),
        ({"count": "many"}, r"branch\.count='many' cannot be used: a whole number$"),
        ({"count": 1.5}, r"branch\.count=1\.5 cannot be used: a whole number$"),
        ({"count": True}, r"branch\.count=True cannot be used: a whole number$"),
        ({"mode": "three"}, r"branch\.mode='three' cannot be used: one of one, two$"),
        ({"limit": "x"}, r"branch\.limit='x' cannot be used: a number or null$"),
        ({"leaf": {"sizes": 3}}, r"branch\.leaf\.sizes=3 .*a list of whole numbers"),
        ({"leaf": 3}, r"branch\.leaf=3 cannot be used: a group of settings: rate, sizes"),
        ({"free": 3}, r"branch\.free=3 cannot be used: a group of names and values"),
    ],
)
def test_what_cannot_be_used_is_named_with_what_can(branch, message):
    with pytest.raises(ConfigError, match=message):
        tree(**branch)


def test_a_parts_own_refusal_is_placed_in_the_tree():
    with pytest.raises(ConfigError) as caught:
        tree(leaf={"rate": -1.0})
    assert str(caught.value) == (
        "branch.leaf.rate=-1.0 cannot be used: 0 or more, see branch.leaf.sizes"
    )


def test_a_refusal_of_the_whole_names_the_setting_it_is_about():
    with pytest.raises(ConfigError, match=r"^branch\.count=13 cannot be used: not thirteen"):
        tree(count=13)


def test_a_value_without_default_must_be_given():
    with pytest.raises(ConfigError, match="needed=None cannot be used: a value is needed"):
        to_typed(Tree, {})


def test_a_runs_default_configuration_survives_the_round_trip():
    assert to_typed(Config, asdict(Config())) == Config()


def test_every_leaf_of_a_run_is_listed_with_its_type():
    known = settings(Config)
    assert known["network.encoder.stack.strides"] == tuple[int, ...]
    assert known["train.updates"] is int
    assert "network.encoder" not in known


def test_a_text_given_without_a_value_is_empty():
    assert to_typed(Tree, {"needed": None}).needed == ""
