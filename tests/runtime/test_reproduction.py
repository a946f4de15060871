"""The commands that a report names make the run again."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from apex_trader.runtime.compose import compose_config
from apex_trader.runtime.reproduction import data_digest, train_command
from apex_trader.state.segment import Segment

CHANGED = (
    ["+experiment=quickstart"],
    ["+experiment=quickstart", "seed=7", "trading.fee=0.0005", "wandb.tags=[a,b c]"],
    [
        "+experiment=eth_minutes",
        "market.store='/data/the market'",
        "market.primary=binance:ETHUSDT",
    ],
    ["name=my own", "state.without=[cnn_hidden,cnn_predictions]", "periods.extractor=0"],
    ["+experiment=quickstart", "market.parameters={half_life: 90.0}", "market.reference=''"],
    ["name='1e3'", "wandb.group='null'", "wandb.project='it\\'s'"],
)


@pytest.mark.parametrize("overrides", CHANGED, ids=lambda o: " ".join(o)[:40])
def test_the_command_composes_the_very_configuration(overrides):
    config = compose_config(overrides)
    python, module, name, *arguments = shlex.split(train_command(config))
    assert (python, module, name) == ("python", "-m", "apex_trader.train")
    assert compose_config(arguments) == config


def test_a_command_names_only_what_differs():
    config = compose_config(["+experiment=quickstart"])
    assert train_command(config) == "python -m apex_trader.train +experiment=quickstart"
    other = train_command(replace(config, seed=3))
    assert other == "python -m apex_trader.train +experiment=quickstart seed=3"


def test_other_data_has_another_digest():
    def segment(key: str) -> Segment:
        made = Segment.__new__(Segment)
        object.__setattr__(made, "key", key)
        return made

    first = data_digest([segment("a"), segment("b")])
    assert first == data_digest([segment("a"), segment("b")])
    assert first != data_digest([segment("a"), segment("c")])
