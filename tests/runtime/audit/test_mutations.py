"""Each connection is cut in turn in the real code: the audit names the cut, and only then."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from actors.replay.shard import ReplayShard
from actors.replay.tags import ExtremaTagger
from actors.rollout import RolloutWorker
from apex_trader.experience import MOVEMENT, POSITIVE
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.models.encoder import MarketEncoder
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime import parts
from apex_trader.runtime.market_data import CnnRows
from apex_trader.runtime.serial import SerialRun
from apex_trader.state import gather as gathering
from apex_trader.trading.potentials import PotentialWeights
from apex_trader.trading.rewards import Weights
from learner.update import Learner

pytestmark = pytest.mark.usefixtures("small")


def named(findings, *connections, also=()):
    """The holes found are those of the connections, each named, and what follows from them."""
    assert findings.holes
    for connection in connections:
        assert any(connection in hole for hole in findings.holes), findings.holes
    others = [h for h in findings.holes if not any(c in h for c in (*connections, *also))]
    assert others == []
    assert "hole" in findings.closing()
    assert "no hole" not in findings.closing()
    return True


@pytest.mark.usefixtures("same_rows")
class TestUncut:
    def test_nothing_is_named_and_everything_is_delivered(self, bench):
        findings = bench.audit()
        assert findings.holes == []
        assert findings.closing().endswith("no hole")
        assert findings.market_size == bench.data.schema.market_size == findings.delivered
        assert findings.account_size == 8


@pytest.mark.usefixtures("same_rows")
class TestStateAndNetwork:
    def test_a_block_that_the_gather_leaves_out(self, bench, monkeypatch):
        copy = gathering._gather_cpu

        def leaves_out(tables, block, rows, mirror, out, start):
            copy(tables, block, rows, mirror, out, start)
            if block.name == "primary_1h":
                out[:, start : start + block.size] = 0.0

        monkeypatch.setattr(gathering, "_gather_cpu", leaves_out)
        assert named(
            bench.audit(), "primary_1h → state", "primary_1h → Q", "primary_1h → loss",
            "primary_1h → CNN", also=["CNN → state"],
        )  # fmt: skip

    def test_a_column_that_the_gather_leaves_out(self, bench, monkeypatch):
        copy = gathering._gather_cpu

        def leaves_out(tables, block, rows, mirror, out, start):
            copy(tables, block, rows, mirror, out, start)
            if block.name == "ticks":
                out[:, start : start + block.size].view(-1, 32, 10)[..., 8] = 0.0

        monkeypatch.setattr(gathering, "_gather_cpu", leaves_out)
        findings = bench.audit()
        assert named(findings, "ticks → state", also=["CNN → state"])
        assert any("impact" in hole for hole in findings.holes)

    def test_a_block_that_the_encoder_ignores(self, bench, monkeypatch):
        forward, place = MarketEncoder.forward, bench.data.schema.offsets["pivots"]

        def ignores(self, state):
            state = state.clone()
            state[:, place] = 0.0
            return forward(self, state)

        monkeypatch.setattr(MarketEncoder, "forward", ignores)
        findings = bench.audit()
        assert named(findings, "pivots → Q", "pivots → loss", also=["loss → every weight"])
        assert not any("pivots → state" in hole for hole in findings.holes)

    def test_old_rows_that_the_encoder_ignores(self, bench, monkeypatch):
        forward, place = MarketEncoder.forward, bench.data.schema.offsets["ticks"]

        def ignores(self, state):
            state = state.clone()
            state[:, place.start : place.start + 100] = 0.0
            return forward(self, state)

        monkeypatch.setattr(MarketEncoder, "forward", ignores)
        findings = bench.audit()
        assert named(findings, "ticks → Q")
        assert any("100 features have no gradient" in hole for hole in findings.holes)

    def test_an_account_that_the_network_ignores(self, bench, monkeypatch):
        q = DuelingQNetwork.q
        blind = torch.tensor([1.0, 1, 1, 1, 1, 1, 0, 1])
        monkeypatch.setattr(DuelingQNetwork, "q", lambda self, z, a: q(self, z, a * blind))
        findings = bench.audit()
        assert named(findings, "account → Q")
        assert any("drawdown" in hole for hole in findings.holes)

    def test_weights_that_do_not_learn(self, bench, monkeypatch):
        make = parts.make_network

        def frozen(*arguments):
            network = make(*arguments)
            network.encoder.branches["regime"].requires_grad_(False)
            return network

        monkeypatch.setattr(parts, "make_network", frozen)
        findings = bench.audit()
        assert named(findings, "loss → every weight")
        assert any("regime" in hole for hole in findings.holes)

    def test_a_target_that_never_moves(self, bench, monkeypatch):
        monkeypatch.setattr(Learner, "_track_target", lambda self: None)
        assert named(bench.audit(), "learner → target network")

    def test_weights_that_never_reach_the_actors(self, bench, monkeypatch):
        monkeypatch.setattr(RolloutWorker, "set_weights", lambda self, version, weights: None)
        assert named(bench.audit(), "weights → actors")


class TestExtractor:
    def test_cnn_rows_of_zeros(self, bench, monkeypatch):
        rows = FrozenExtractor.rows
        monkeypatch.setattr(
            FrozenExtractor, "rows", lambda *arguments: torch.zeros_like(rows(*arguments))
        )
        findings = bench.audit()
        assert named(
            findings, "cnn_hidden", "cnn_predictions", "extractor's weights → CNN",
            also=["→ CNN", "cnn_potential", "loss → every weight"],
        )  # fmt: skip
        assert findings.delivered == findings.market_size - 528

    def test_cnn_rows_of_another_time(self, bench, monkeypatch):
        rows = next(iter(bench.rows.values()))
        monkeypatch.setattr(CnnRows, "of", lambda *arguments: np.roll(rows, 100, axis=0))
        assert named(bench.audit(), "CNN → state")


@pytest.mark.usefixtures("same_rows")
class TestPivotsAndReward:
    def test_a_pivot_table_without_pivots(self, bench):
        def empty(segment):
            nothing = np.full_like(segment.tables["pivots"], np.nan)
            return replace(segment, tables={**segment.tables, "pivots": nothing})

        findings = bench.audit(change=empty)
        assert named(
            findings, "pivots: 250 columns", "pivots → state", "pivots → Q", "pivots → trend",
            "pivots → loss", also=["loss → every weight"],
        )  # fmt: skip
        assert findings.delivered == findings.market_size - 250

    def test_pivots_that_the_reward_does_not_know(self, bench):
        def without(segment):
            events = segment.pivot_events
            none = replace(events, **{name: column[:0] for name, column in vars(events).items()})
            return replace(segment, pivot_events=none)

        assert named(bench.audit(change=without), "pivots → bonus")

    def test_a_trend_that_is_not_the_pivots(self, bench):
        def other(segment):
            trend = np.roll(segment.decisions.trend, 5000)
            return replace(segment, decisions=replace(segment.decisions, trend=trend))

        assert named(bench.audit(change=other), "pivots → trend")

    def test_potentials_that_the_learner_is_not_given(self, bench, monkeypatch):
        monkeypatch.setattr(parts, "potential_weights", lambda config: PotentialWeights(0.0, 0.0))
        assert named(
            bench.audit(), "reward.pivot_potential → TD error", "reward.cnn_potential → TD error",
            "trend → TD error, learner",
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("field", "weight"),
        [("core", "core"), ("risk", "risk"), ("duration", "duration"),
         ("pivot_levels", "pivot_bonus"), ("frequency", "frequency")],
    )  # fmt: skip
    def test_a_weight_that_the_simulator_drops(self, bench, monkeypatch, field, weight):
        of = Weights.of

        def drops(config):
            weights = of(config)
            return weights._replace(**{field: 0.0 * getattr(weights, field)})

        monkeypatch.setattr(Weights, "of", drops)
        assert named(bench.audit(), f"reward.{weight} → reward", also=["pivots → bonus"])


@pytest.mark.usefixtures("same_rows")
class TestReplay:
    @pytest.mark.parametrize(("name", "bit"), [("positive", POSITIVE), ("movement", MOVEMENT)])
    def test_a_bit_that_is_never_set(self, bench, monkeypatch, name, bit):
        strata = RolloutWorker._strata
        monkeypatch.setattr(
            RolloutWorker, "_strata", lambda self, done: strata(self, done) & np.uint8(255 - bit)
        )
        assert named(bench.audit(), f"{name} → bit")

    def test_tags_that_are_never_made(self, bench, monkeypatch):
        monkeypatch.setattr(ExtremaTagger, "passed", lambda self, rows, next_rows: [])
        assert named(bench.audit(), "confirmed pivot → tag")

    def test_tags_that_are_dropped(self, bench, monkeypatch):
        monkeypatch.setattr(ReplayShard, "tag", lambda self, segment, rows, bit: 0)
        assert named(bench.audit(), "tag → stratum")

    def test_transitions_that_are_dropped(self, bench, monkeypatch):
        insert = ReplayShard.insert

        def drops(self, transitions, priorities, *, paced=True):
            half = len(transitions) // 2
            return insert(self, transitions.take(slice(half)), priorities[:half], paced=paced)

        monkeypatch.setattr(ReplayShard, "insert", drops)
        assert named(bench.audit(), "rollout → replay")

    def test_priorities_that_never_come_back(self, bench, monkeypatch):
        monkeypatch.setattr(
            SerialRun, "_update", lambda self, shard, sample: self.learner.update(sample)
        )
        assert named(bench.audit(), "TD error → priority → sampling")

    def test_a_shard_that_ignores_priorities(self, bench, monkeypatch):
        monkeypatch.setattr(ReplayShard, "update", lambda *arguments: None)
        assert named(bench.audit(), "TD error → priority → sampling")
