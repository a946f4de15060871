"""Settings that a resumed run must keep, and those that it may change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apex_trader.errors import ConfigError
from apex_trader.runtime.config import Config
from apex_trader.runtime.resume import check_resumable


def test_budget_rhythm_and_runtime_may_change(tiny: Config):
    longer = replace(tiny.train, updates=10**6, evaluate_every=7)
    slower = replace(tiny.learner, learning_rate=1e-5)
    check_resumable(tiny, replace(tiny, train=longer, learner=slower, runtime="ray", resume="x"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("seed", lambda c: replace(c, seed=c.seed + 1)),
        ("periods.test", lambda c: replace(c, periods=replace(c.periods, test=0.4))),
        ("network.hidden", lambda c: replace(c, network=replace(c.network, hidden=64))),
        ("state.window", lambda c: replace(c, state=replace(c.state, window=64))),
        ("state.without", lambda c: replace(c, state=replace(c.state, without=("regime",)))),
        ("cnn.trunk", lambda c: replace(c, cnn=replace(c.cnn, trunk=64))),
        ("trading.action_set",
         lambda c: replace(c, trading=replace(c.trading, action_set="sell_buy"))),
        ("market.reference", lambda c: replace(c, market=replace(c.market, reference=""))),
    ],
)  # fmt: skip
def test_what_the_checkpoint_depends_on_may_not(tiny: Config, name: str, change):
    with pytest.raises(ConfigError, match=f"{name}.*started with"):
        check_resumable(tiny, change(tiny))
