"""What each action asks for, and its mirror image."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from apex_trader.trading.actions import FLAT, LONG, SHORT, Actions
from apex_trader.trading.config import TradingConfig


def test_a_target_is_reached_from_anywhere():
    for position in (SHORT, FLAT, LONG):
        np.testing.assert_array_equal(Actions("target").wanted[position + 1], [SHORT, FLAT, LONG])


def test_sell_and_buy_enter_when_flat_close_the_opposite_and_hold_the_same():
    sell, buy = Actions("sell_buy").wanted.T
    np.testing.assert_array_equal(sell, [SHORT, SHORT, FLAT])
    np.testing.assert_array_equal(buy, [FLAT, LONG, LONG])


@pytest.mark.parametrize("name", ["target", "sell_buy"])
def test_spot_is_long_or_flat_only(name):
    spot = Actions(name, "spot")
    assert (spot.wanted >= FLAT).all()
    np.testing.assert_array_equal(spot.wanted, np.maximum(Actions(name).wanted, FLAT))


@pytest.mark.parametrize("name", ["target", "sell_buy"])
def test_the_mirrored_action_asks_the_mirrored_account_for_the_mirrored_position(name):
    actions = Actions(name)
    for position, action in itertools.product((SHORT, FLAT, LONG), range(actions.size)):
        image = actions.wanted[-position + 1, actions.mirror[action]]
        assert image == -actions.wanted[position + 1, action]
    np.testing.assert_array_equal(actions.mirror[actions.mirror], np.arange(actions.size))


def test_an_action_that_holds_is_there_unless_every_action_trades():
    target, pair = Actions("target"), Actions("sell_buy")
    assert [target.holding(p) for p in (SHORT, FLAT, LONG)] == [0, 1, 2]
    assert [pair.holding(p) for p in (SHORT, FLAT, LONG)] == [0, None, 1]


def test_actions_follow_the_configuration():
    config = TradingConfig(action_set="sell_buy", instrument="spot")
    assert Actions.of(config) == Actions("sell_buy", "spot")
    assert Actions.of(config).names == ("sell", "buy")
