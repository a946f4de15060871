"""An update learns what it should, from both sides of the market, and the same way each time."""

from __future__ import annotations

import dataclasses
import io

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from apex_trader.errors import ApexError, ConfigError, MismatchError
from apex_trader.experience import Sample
from apex_trader.state.gather import MarketTables, gather, gather_block
from apex_trader.state.mirror import mirror_account
from apex_trader.trading.potentials import PotentialWeights
from learner.arena import DeviceArena
from learner.config import LearnerConfig
from learner.serialise import read_state, state_bytes
from learner.update import Learner
from tests.learner.fakes import (
    SCHEMA,
    all_outcomes,
    cnn_rows,
    filled_arena,
    random_sample,
    random_segment,
    small_network,
)

SIZE = 32
CONFIG = LearnerConfig(batch_size=SIZE, learning_rate=1e-2, decay_updates=0)
MIRROR = np.array([2, 1, 0])
BOTH = PotentialWeights(0.3, 0.2)


def learner(
    arena: DeviceArena,
    config: LearnerConfig = CONFIG,
    seed: int = 0,
    potentials: PotentialWeights = BOTH,
    mirrors: bool = True,
    all_actions: bool = False,
) -> Learner:
    return Learner(
        small_network(SCHEMA, seed=seed), arena, config, np.random.default_rng(seed),
        potentials=potentials, action_mirror=MIRROR if mirrors else None, all_actions=all_actions,
    )  # fmt: skip


@pytest.fixture(scope="module")
def arena() -> DeviceArena:
    return filled_arena(SCHEMA, [0, 1])


def replace(sample: Sample, **columns: np.ndarray) -> Sample:
    return dataclasses.replace(
        sample, transitions=dataclasses.replace(sample.transitions, **columns)
    )


def test_errors_fall_on_the_same_transitions(arena: DeviceArena) -> None:
    subject = learner(arena)
    sample = random_sample(SIZE, segments=2)
    errors = [float(subject.update(sample).value.mean()) for _ in range(60)]
    assert errors[-1] < 0.25 * errors[0]


def test_the_rewarded_action_becomes_the_greedy_one(arena: DeviceArena) -> None:
    """The market's trend decides which action pays, and the network must find out which."""
    config = dataclasses.replace(CONFIG, target_rate=0.05)
    subject = learner(arena, config, potentials=PotentialWeights(0.0, 0.0))
    rows = np.arange(SIZE, dtype=np.int32)
    best = np.where(np.arange(SIZE) % 2, 2, 0)
    rng = np.random.default_rng(1)
    for _ in range(150):
        action = rng.integers(0, 3, SIZE)
        sample = replace(
            random_sample(SIZE), row=rows, next_row=rows, segment=np.zeros(SIZE, np.int32),
            action=action.astype(np.uint8), reward=np.where(action == best, 1.0, -1.0).astype("f4"),
            discount=np.zeros(SIZE, np.float32),
        )  # fmt: skip
        subject.update(sample)
    q = q_of(subject, sample, mirrored=False)
    assert (q.argmax(1).numpy() == best).mean() > 0.9
    mirrored = q_of(subject, sample, mirrored=True)
    assert (mirrored.argmax(1).numpy() == MIRROR[best]).mean() > 0.9


def q_of(subject: Learner, sample: Sample, mirrored: bool) -> torch.Tensor:
    t = sample.transitions
    (rows,) = subject.arena.rows(t.segment, t.row)
    mirror = torch.full((len(t),), mirrored)
    account = mirror_account(t.account) if mirrored else t.account
    states = gather(subject.arena.tables, torch.from_numpy(rows), mirror)
    with torch.no_grad():
        return subject.network(states, torch.from_numpy(account))


def test_the_market_upside_down_gives_the_same_experience(arena: DeviceArena) -> None:
    """A batch mirrored by the learner is the batch of the trader in the mirrored market."""
    whole = dataclasses.replace(CONFIG, mirror_share=1.0)
    none = dataclasses.replace(CONFIG, mirror_share=0.0)
    sample = random_sample(SIZE, segments=2, seed=3)
    t = sample.transitions
    upside_down = replace(
        sample,
        account=mirror_account(t.account),
        next_account=mirror_account(t.next_account),
        action=MIRROR[t.action].astype(np.uint8),
    )
    first = learner(arena, whole).update(sample).value
    flipped = filled_arena(SCHEMA, [0, 1])
    flip_tables(flipped)
    second = learner(flipped, none).update(upside_down).value
    np.testing.assert_allclose(first, second, rtol=2e-5, atol=2e-5)


def flip_tables(arena: DeviceArena) -> None:
    """Turn the arena's market itself upside down."""
    tables = arena.tables
    for name, table in tables.blocks.items():
        index, sign = SCHEMA.block(name).mirror
        table.copy_(table[:, torch.from_numpy(index)] * torch.from_numpy(sign))
        if name in tables.row_scale:
            partner = torch.from_numpy(index[: SCHEMA.block(name).anchored])
            tables.row_scale[name].copy_(tables.row_scale[name][:, partner])
    tables.anchor.neg_()
    tables.trend.neg_()
    assert tables.cnn is not None
    tables.cnn.copy_(tables.cnn.flip(1))


def test_the_outcomes_of_all_actions_turn_upside_down_with_the_market(arena: DeviceArena) -> None:
    whole = dataclasses.replace(CONFIG, mirror_share=1.0)
    none = dataclasses.replace(CONFIG, mirror_share=0.0)
    sample = all_outcomes(random_sample(SIZE, segments=2, seed=3))
    t = sample.transitions
    upside_down = replace(
        sample,
        account=mirror_account(t.account),
        next_account=mirror_account(t.next_account)[:, MIRROR],
        action=MIRROR[t.action].astype(np.uint8),
        reward=t.reward[:, MIRROR],
        discount=t.discount[:, MIRROR],
    )
    first = learner(arena, whole, all_actions=True).update(sample).value
    flipped = filled_arena(SCHEMA, [0, 1])
    flip_tables(flipped)
    second = learner(flipped, none, all_actions=True).update(upside_down).value
    np.testing.assert_allclose(first, second, rtol=2e-5, atol=2e-5)


def test_an_error_of_all_actions_is_the_mean_of_those_of_each(arena: DeviceArena) -> None:
    plain = dataclasses.replace(CONFIG, mirror_share=0.0)
    sample = all_outcomes(random_sample(SIZE, segments=2, seed=3))
    t = sample.transitions
    each = [
        learner(arena, plain).update(
            replace(
                sample, action=np.full(SIZE, k, np.uint8), reward=t.reward[:, k],
                discount=t.discount[:, k], next_account=t.next_account[:, k].astype(np.float32),
            )
        ).value
        for k in range(3)
    ]  # fmt: skip
    whole = learner(arena, plain, all_actions=True).update(sample).value
    np.testing.assert_allclose(whole, np.mean(each, 0), rtol=1e-5, atol=1e-6)


def test_every_action_is_learnt_from_one_transition(arena: DeviceArena) -> None:
    """No action was ever taken but the first, and still the best one is found."""
    subject = learner(
        arena, dataclasses.replace(CONFIG, target_rate=0.05), all_actions=True,
        potentials=PotentialWeights(0.0, 0.0),
    )  # fmt: skip
    rows = np.arange(SIZE, dtype=np.int32)
    best = np.where(np.arange(SIZE) % 2, 2, 0)
    sample = replace(
        all_outcomes(random_sample(SIZE)), row=rows, next_row=rows,
        segment=np.zeros(SIZE, np.int32), action=np.zeros(SIZE, np.uint8),
        reward=np.where(np.arange(3) == best[:, None], 1.0, -1.0).astype("f4"),
        discount=np.zeros((SIZE, 3), np.float32),
    )  # fmt: skip
    for _ in range(60):
        subject.update(sample)
    assert (q_of(subject, sample, mirrored=False).argmax(1).numpy() == best).mean() > 0.9


def test_a_sample_without_the_outcomes_asked_for_is_refused(arena: DeviceArena) -> None:
    with pytest.raises(ApexError, match=r"rollout\.outcomes"):
        learner(arena, all_actions=True).update(random_sample(SIZE))
    with pytest.raises(ApexError, match=r"rollout\.outcomes"):
        learner(arena).update(all_outcomes(random_sample(SIZE)))


def test_mirroring_twice_changes_nothing_in_the_stored_sample(arena: DeviceArena) -> None:
    sample = random_sample(SIZE)
    before = sample.transitions.account.copy(), sample.transitions.action.copy()
    learner(arena, dataclasses.replace(CONFIG, mirror_share=1.0)).update(sample)
    np.testing.assert_array_equal(sample.transitions.account, before[0])
    np.testing.assert_array_equal(sample.transitions.action, before[1])


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_the_wanted_share_of_each_batch_is_mirrored(arena: DeviceArena, share: float) -> None:
    subject = learner(arena, dataclasses.replace(CONFIG, mirror_share=share))
    subject.update(random_sample(SIZE))
    assert subject.read_metrics()["learner/mirrored_share"] == pytest.approx(share)


def test_where_nothing_can_be_sold_short_nothing_is_mirrored(arena: DeviceArena) -> None:
    subject = learner(arena, mirrors=False)
    subject.update(random_sample(SIZE))
    assert subject.read_metrics()["learner/mirrored_share"] == 0.0


def test_potentials_enter_the_target_at_both_ends(arena: DeviceArena) -> None:
    sample = random_sample(SIZE, segments=2, seed=5)
    plain = learner(arena, potentials=PotentialWeights(0.0, 0.0), mirrors=False)
    shaped = learner(arena, potentials=BOTH, mirrors=False)
    t = sample.transitions
    row, next_row = arena.rows(t.segment, t.row, t.next_row)

    def phi(rows: np.ndarray, account: np.ndarray) -> np.ndarray:
        assert arena.tables.cnn is not None
        predictions = arena.tables.cnn[torch.from_numpy(rows), 0, -16:].float().numpy().clip(-5, 5)
        trend = arena.tables.trend.numpy()[rows]
        vote = (predictions[:, 0::4] * predictions[:, 1::4]).mean(1)
        return account[:, 0] * (BOTH.pivot * trend + BOTH.cnn * vote)

    extra = t.discount * phi(next_row, t.next_account) - phi(row, t.account)
    with_extra = replace(sample, reward=(t.reward + extra).astype(np.float32))
    np.testing.assert_allclose(
        shaped.update(sample).value, plain.update(with_extra).value, rtol=1e-5, atol=1e-5
    )
    # A potential is a number, not something to learn: the gradients are the same too.
    for a, b in zip(shaped.network.parameters(), plain.network.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-5)
    metrics = shaped.read_metrics()
    added = metrics["learner/pivot_potential_mean"] + metrics["learner/cnn_potential_mean"]
    assert added == pytest.approx(float(extra.mean()), abs=1e-5)


def test_potentials_follow_the_extractor_that_the_arena_holds_now() -> None:
    own = filled_arena(SCHEMA, [0])
    sample = random_sample(SIZE)
    frozen = dataclasses.replace(CONFIG, learning_rate=1e-12)
    subject = learner(own, frozen, potentials=PotentialWeights(0.0, 1.0), mirrors=False)
    before = subject.update(sample).value.copy()
    own.swap_cnn("extractor-2", lambda number: cnn_rows(40, seed=77))
    assert np.abs(subject.update(sample).value - before).max() > 0.1


def test_a_cnn_potential_needs_predictions() -> None:
    schema = SCHEMA.without("cnn_hidden", "cnn_predictions")
    bare = DeviceArena.of([random_segment(schema)], schema)
    with pytest.raises(MismatchError, match=r"reward\.cnn_potential is above 0"):
        Learner(
            small_network(schema), bare, CONFIG, np.random.default_rng(0),
            potentials=PotentialWeights(0.0, 0.1),
        )  # fmt: skip
    subject = Learner(
        small_network(schema), bare, CONFIG, np.random.default_rng(0),
        potentials=PotentialWeights(0.1, 0.0), action_mirror=MIRROR,
    )  # fmt: skip
    assert np.isfinite(subject.update(random_sample(SIZE)).value).all()


def test_the_target_network_follows_slowly(arena: DeviceArena) -> None:
    subject = learner(arena)
    start = [p.clone() for p in subject.target.parameters()]
    subject.update(random_sample(SIZE))
    rate = subject.config.target_rate
    moved = zip(start, subject.target.parameters(), subject.network.parameters(), strict=True)
    for old, new, online in moved:
        torch.testing.assert_close(new, old + rate * (online - old))


def test_the_target_network_is_copied_every_period(arena: DeviceArena) -> None:
    config = dataclasses.replace(CONFIG, target_update="periodic", target_period=3)
    subject = learner(arena, config)
    start = torch.cat([p.flatten() for p in subject.target.parameters()])
    for done in range(1, 4):
        subject.update(random_sample(SIZE, seed=done))
        now = torch.cat([p.flatten() for p in subject.target.parameters()])
        online = torch.cat([p.flatten() for p in subject.network.parameters()])
        assert torch.equal(now, start if done < 3 else online)


def test_the_judged_weights_are_the_mean_of_those_of_the_updates(arena: DeviceArena) -> None:
    subject = learner(arena, dataclasses.replace(CONFIG, average_updates=10))
    seen = []
    for i in range(4):
        subject.update(random_sample(SIZE, seed=i))
        seen.append(torch.cat([p.detach().flatten() for p in subject.network.parameters()]))
    judged = torch.cat([p.flatten() for p in subject.judged.parameters()])
    torch.testing.assert_close(judged, torch.stack(seen).mean(0), rtol=1e-4, atol=1e-6)


def test_the_same_seed_gives_the_same_bits(arena: DeviceArena) -> None:
    results = []
    for _ in range(2):
        subject = learner(arena, seed=4)
        values = [subject.update(random_sample(SIZE, seed=i)).value for i in range(5)]
        weights = torch.cat([p.detach().flatten() for p in subject.network.parameters()])
        results.append((np.concatenate(values), weights.numpy()))
    np.testing.assert_array_equal(results[0][0], results[1][0])
    np.testing.assert_array_equal(results[0][1], results[1][1])


@pytest.mark.parametrize("target_update", ["soft", "periodic"])
def test_a_restored_learner_goes_on_with_the_same_bits(
    arena: DeviceArena, target_update: str
) -> None:
    config = dataclasses.replace(CONFIG, target_update=target_update, target_period=4)
    first = learner(arena, config)
    for i in range(3):
        first.update(random_sample(SIZE, seed=i))
    stored = state_bytes(first.state_dict())
    second = learner(arena, config, seed=9)
    second.load_state_dict(read_state(io.BytesIO(stored)))
    assert second.updates == 3
    for i in range(3, 6):
        sample = random_sample(SIZE, seed=i)
        np.testing.assert_array_equal(first.update(sample).value, second.update(sample).value)
    for name in ("network", "target", "judged"):
        parameters = (getattr(subject, name).parameters() for subject in (first, second))
        assert all(torch.equal(a, b) for a, b in zip(*parameters, strict=True))


def test_the_configured_learning_rate_holds_after_a_resume(arena: DeviceArena) -> None:
    first = learner(arena)
    first.update(random_sample(SIZE))
    slower = dataclasses.replace(CONFIG, learning_rate=1e-5, weight_decay=0.0)
    second = learner(arena, slower)
    second.load_state_dict(first.state_dict())
    before = [p.detach().clone() for p in second.network.parameters()]
    second.update(random_sample(SIZE))
    after = [p.detach() for p in second.network.parameters()]
    moved = max(float((a - b).abs().max()) for a, b in zip(before, after, strict=True))
    assert 0 < moved < 1e-4


def test_bf16_and_float32_agree(arena: DeviceArena) -> None:
    sample = random_sample(SIZE, segments=2)
    full = learner(arena, dataclasses.replace(CONFIG, precision="float32"))
    half = learner(arena, dataclasses.replace(CONFIG, precision="bf16"))
    exact, rough = full.update(sample).value, half.update(sample).value
    assert rough.dtype == np.float32
    assert 0 < np.linalg.norm(rough - exact) / np.linalg.norm(exact) < 2e-2
    for p in half.network.parameters():
        assert p.dtype == torch.float32
    for _ in range(40):
        exact, rough = full.update(sample).value, half.update(sample).value
    assert abs(exact.mean() - rough.mean()) < 0.1 * exact.mean() + 0.02


@pytest.mark.slow
def test_the_compiled_loss_is_one_graph_and_agrees_with_the_plain_one(
    arena: DeviceArena, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_as_is = torch.compile

    def traced(function: object, **options: object) -> object:
        # Traced whole, but run by torch: no minute of C++ compiling.
        return compile_as_is(function, backend="eager", fullgraph=True, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(torch, "compile", traced)
    compiled = learner(arena, dataclasses.replace(CONFIG, compile="on"))
    plain = learner(arena)
    for i in range(2):
        sample = random_sample(SIZE, seed=i)
        np.testing.assert_allclose(
            compiled.update(sample).value, plain.update(sample).value, rtol=1e-3, atol=1e-4
        )


def test_a_batch_that_is_not_finite_changes_no_weight_and_is_counted(arena: DeviceArena) -> None:
    subject = learner(arena)
    subject.update(random_sample(SIZE))
    before = state_bytes(
        {"network": subject.network.state_dict(), "optimizer": subject._optimizer.state_dict()}
    )
    bad = random_sample(SIZE)
    bad.transitions.reward[3] = np.nan
    priorities = subject.update(bad).value
    after = state_bytes(
        {"network": subject.network.state_dict(), "optimizer": subject._optimizer.state_dict()}
    )
    assert before == after
    assert np.isnan(priorities[3])
    assert np.isfinite(np.delete(priorities, 3)).all()
    assert subject.read_metrics()["learner/skipped_updates"] == 1


def test_a_learner_that_can_no_longer_learn_says_so(arena: DeviceArena) -> None:
    subject = learner(arena)
    bad = random_sample(SIZE)
    bad.transitions.reward[:] = np.inf
    subject.update(bad)
    with pytest.raises(ApexError, match="last 1 updates all had a loss or gradient that"):
        subject.read_metrics()


def test_the_gradient_is_clipped(arena: DeviceArena) -> None:
    config = dataclasses.replace(CONFIG, gradient_clip=1e-3)
    subject = learner(arena, config)
    subject.update(random_sample(SIZE))
    squares = [float(p.grad.square().sum()) for p in subject.network.parameters()]  # type: ignore[union-attr]
    assert sum(squares) ** 0.5 <= 1.01e-3
    assert subject.read_metrics()["learner/grad_norm"] > 1e-3


def test_only_matrices_decay(arena: DeviceArena) -> None:
    config = dataclasses.replace(CONFIG, learning_rate=1e-3, weight_decay=100.0)
    subject = learner(arena, config)
    names = {id(p): n for n, p in subject.network.named_parameters()}
    for group in subject._optimizer.param_groups:
        for p in group["params"]:
            decays = not names[id(p)].endswith("bias") and p.dim() >= 2
            assert group["weight_decay"] == (100.0 if decays else 0.0)


def test_the_encoder_moves_at_a_rate_of_its_own(arena: DeviceArena) -> None:
    """AdamW's first step is the rate itself, in every weight that has a gradient."""
    config = dataclasses.replace(CONFIG, learning_rate=1e-3, encoder_rate=0.1, weight_decay=0.0)
    subject = learner(arena, config)
    before = {n: p.detach().clone() for n, p in subject.network.named_parameters()}
    subject.update(random_sample(SIZE))
    for name, parameter in subject.network.named_parameters():
        expected = 1e-4 if name.startswith("encoder.") else 1e-3
        moved = float((parameter.detach() - before[name]).abs().max())
        assert moved == pytest.approx(expected, rel=0.05), name


def test_the_rates_fall_to_a_twentieth_and_stay_there(arena: DeviceArena) -> None:
    config = dataclasses.replace(CONFIG, learning_rate=1e-3, encoder_rate=0.1, decay_updates=4)
    subject = learner(arena, config)
    rates = []
    for i in range(6):
        subject.update(random_sample(SIZE, seed=i))
        rates.append(sorted({group["lr"] for group in subject._optimizer.param_groups}))
    assert rates[0] == pytest.approx([1e-4, 1e-3])
    assert rates[2] == pytest.approx([0.525e-4, 0.525e-3])
    assert rates[4] == rates[5] == pytest.approx([0.05e-4, 0.05e-3])


def test_a_learner_is_told_the_budget_that_its_rates_fall_over(arena: DeviceArena) -> None:
    with pytest.raises(ConfigError, match=r"learner\.decay_updates=None.*for_budget"):
        learner(arena, dataclasses.replace(CONFIG, decay_updates=None))


def test_a_resumed_learner_goes_on_with_the_rate_of_its_update(arena: DeviceArena) -> None:
    config = dataclasses.replace(CONFIG, decay_updates=8)
    whole, begun, resumed = (learner(arena, config) for _ in range(3))
    for i in range(6):
        whole.update(random_sample(SIZE, seed=i))
    for i in range(3):
        begun.update(random_sample(SIZE, seed=i))
    resumed.load_state_dict(begun.state_dict())
    for i in range(3, 6):
        resumed.update(random_sample(SIZE, seed=i))
    for ours, theirs in zip(resumed.network.parameters(), whole.network.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_a_sample_of_another_size_is_an_error(arena: DeviceArena) -> None:
    with pytest.raises(ApexError, match=r"sample of 31 transitions, learner\.batch_size is 32"):
        learner(arena).update(random_sample(SIZE - 1))


def test_metrics_are_read_once_in_a_while(arena: DeviceArena) -> None:
    subject = learner(arena, dataclasses.replace(CONFIG, metrics_every=3))
    due = []
    for i in range(3):
        subject.update(random_sample(SIZE, seed=i))
        due.append(subject.metrics_due)
    assert due == [False, False, True]
    metrics = subject.read_metrics()
    assert not subject.metrics_due
    assert subject.read_metrics() == {}
    assert all(name.startswith("learner/") for name in metrics)
    assert all(np.isfinite(value) for value in metrics.values())


def test_metrics_are_those_of_the_batches(arena: DeviceArena) -> None:
    subject = learner(arena, dataclasses.replace(CONFIG, learning_rate=1e-12), mirrors=False)
    samples = [random_sample(SIZE, seed=i) for i in range(4)]
    td = np.concatenate([subject.update(sample).value for sample in samples])
    metrics = subject.read_metrics()
    stratum = np.concatenate([sample.stratum for sample in samples])
    reward = np.concatenate([sample.transitions.reward for sample in samples])
    weight = np.concatenate([sample.weight / sample.weight.max() for sample in samples])
    assert metrics["learner/td_mean"] == pytest.approx(float(td.mean()), rel=1e-5)
    assert metrics["learner/td_max"] == pytest.approx(float(td.max()), rel=1e-5)
    for index, name in enumerate(("main", "positive", "extrema", "movement")):
        wanted = float(td[stratum == index].mean())
        assert metrics[f"learner/td_{name}"] == pytest.approx(wanted, rel=1e-5)
    assert metrics["learner/reward_mean"] == pytest.approx(float(reward.mean()), abs=1e-6)
    assert metrics["learner/importance_weight_min"] == pytest.approx(float(weight.min()))
    assert metrics["learner/sample_age_mean"] == pytest.approx((SIZE - 1) / 2)
    assert metrics["learner/sample_age_max"] == SIZE - 1
    assert metrics["learner/updates"] == 4


def test_priorities_know_where_they_belong(arena: DeviceArena) -> None:
    sample = random_sample(SIZE)
    priorities = learner(arena).update(sample)
    assert priorities.ready
    assert priorities.shard == sample.shard
    np.testing.assert_array_equal(priorities.slot, sample.slot)
    np.testing.assert_array_equal(priorities.generation, sample.generation)
    assert (priorities.value >= 0).all()


def test_earlier_priorities_outlive_later_updates(arena: DeviceArena) -> None:
    subject = learner(arena)
    first = subject.update(random_sample(SIZE, seed=1))
    kept = first.value.copy()
    subject.update(random_sample(SIZE, seed=2))
    np.testing.assert_array_equal(first.value, kept)


class NoQuestions(TorchDispatchMode):
    """Fails on whatever reads a value back from the device, which would wait for a GPU."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "equal", "is_nonzero")

    def __torch_dispatch__(  # type: ignore[no-untyped-def]
        self, func, types, args=(), kwargs=None
    ):
        name = func.overloadpacket.__name__
        assert name not in self.WAITING, f"{name} waits for the device"
        return func(*args, **(kwargs or {}))


def test_an_update_asks_the_device_nothing(
    arena: DeviceArena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("learner.update.gather", gather_as_on_a_gpu)
    subject = learner(arena)
    subject.update(random_sample(SIZE))
    with NoQuestions():
        priorities = subject.update(random_sample(SIZE))
    assert np.isfinite(priorities.value).all()
    with NoQuestions(), pytest.raises(AssertionError, match="waits for the device"):
        subject.read_metrics()


def gather_as_on_a_gpu(
    tables: MarketTables, rows: torch.Tensor, mirror: torch.Tensor, out: torch.Tensor
) -> torch.Tensor:
    """The gather's torch operations, which a GPU runs, on the CPU."""
    start = 0
    for block in tables.schema.blocks:
        part = out[:, start : start + block.size]
        if block.name in tables.blocks:
            gather_block(tables, block, rows, mirror, part)
        else:
            gather(tables, rows, mirror, blocks=(block.name,), out=(cnn := part.contiguous()))
            part.copy_(cnn)
        start += block.size
    return out
