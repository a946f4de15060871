"""Rollout → replay → batch: every stratum's bit, tag, share, and the priorities' way back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from actors.replay.shard import ReplayShard
from actors.replay.tags import Tag
from actors.rollout import RolloutResult
from apex_trader.experience import EXTREMA, MOVEMENT, POSITIVE, STRATA, Sample, Transitions
from apex_trader.runtime.audit.findings import Probe, Status
from apex_trader.runtime.audit.pipeline import Pipeline
from apex_trader.state.segment import Segment
from apex_trader.trading.simulator import movement_flags

Bool = NDArray[np.bool_]
I64 = NDArray[np.int64]
GROUP = "replay"
#: Transitions that are enough to look at, and most deliveries to wait for them.
_ENOUGH, _DELIVERIES = 4096, 8
_BATCHES = 4


@dataclass(frozen=True)
class Experience:
    """What a short rollout brought: transitions [m], tags, and the simulator's count of trades
    closed with a profit (``profitable``), less those whose transitions are still open."""

    transitions: Transitions
    tags: tuple[Tag, ...]
    profitable: float


def collect(line: Pipeline) -> Experience:
    """A short rollout, delivered to the shards as the run delivers it."""
    results: list[RolloutResult] = []
    while len(results) < _DELIVERIES and sum(len(r.transitions) for r in results) < _ENOUGH:
        results.append(line.run.collect())
        line.run.deliver(results[-1])
    whole = results[:-1] or results
    return Experience(
        Transitions.concatenate([r.transitions for r in results]),
        tuple(tag for r in results for tag in r.tags),
        sum(r.metrics.get("actors/profitable_trades", 0.0) for r in whole),
    )


def probe_replay(line: Pipeline, experience: Experience) -> Iterator[Probe]:
    """Storage, then each stratum from its bit to its share of a batch, then priorities."""
    yield _stored(line, experience)
    yield from _bits(line, experience)
    yield _tags_made(line, experience)
    yield _tags_held(line, experience)
    samples = [s for k in range(len(line.run.shards)) for s in _samples(line, k)]
    for stratum in range(len(STRATA)):
        yield _share(line, samples, stratum)
    yield _priorities(line)


def first_sample(line: Pipeline) -> Sample:
    """A batch of the first shard that gives one."""
    for k in range(len(line.run.shards)):
        sample = line.run.draw(k)
        if sample is not None:
            return sample
    raise LookupError("no shard gives a batch")


def _stored(line: Pipeline, experience: Experience) -> Probe:
    held = sum(len(shard) for shard in line.run.shards)
    made = len(experience.transitions)
    holds = made > 0 and held == min(made, line.config.replay.capacity)
    return Probe.judged(
        GROUP, "rollout → replay", f"{made:,} transitions made, {held:,} held", holds,
        "the shards do not hold what the rollout made",
    )  # fmt: skip


def _bits(line: Pipeline, experience: Experience) -> Iterator[Probe]:
    """The bits that the rollout sets, against what the market and the accounts say."""
    made, strata = len(experience.transitions), experience.transitions.strata
    expected = {
        "positive": (POSITIVE, int(experience.profitable)),
        "extrema": (EXTREMA, int(_near_pivots(line, experience.transitions).sum())),
        "movement": (MOVEMENT, int(_moved(line, experience.transitions).sum())),
    }
    for name, (bit, count) in expected.items():
        found = int(np.count_nonzero(strata & bit))
        status: Status = "ok"
        note = ""
        if found == 0 and count:
            status, note = "hole", f"{count:,} transitions belong to it and none has its bit"
        elif found == 0 and name == "extrema" and experience.tags:
            note = "no pivot is confirmed while a transition near it is open: tags bring them"
        elif found == 0:
            status, note = "warning", f"no example in {made:,} transitions"
        yield Probe(GROUP, f"{name} → bit", f"{found:,} of {made:,} transitions", status, note)


def _moved(line: Pipeline, made: Transitions) -> Bool:
    """[m]: large moves, by the definition; the steps follow from the discount."""
    rollout = line.run.rollout
    steps = np.full(len(made), rollout.config.n_step)
    # Of several outcomes those that did not end in ruin have the same discount.
    discount: NDArray[np.float32] = made.discount.reshape(len(made), -1).max(1)
    gamma, bootstraps = rollout.config.gamma, discount > 0
    if 0.0 < gamma < 1.0:
        steps[bootstraps] = np.rint(np.log(discount[bootstraps]) / np.log(gamma))
    rows, next_rows = _global(line, made, made.row), _global(line, made, made.next_row)
    return bootstraps & movement_flags(
        rollout.market.path, rows, next_rows, steps, rollout.config.movement_sigmas
    )


def _near_pivots(line: Pipeline, made: Transitions) -> Bool:
    """[m]: starts within the radius of a pivot that its last state knows, by the definition."""
    near = np.zeros(len(made), np.bool_)
    reach = line.config.rollout.extrema_radius * line.data.schema.decision_interval
    for number in np.unique(made.segment):
        own = np.flatnonzero(made.segment == number)
        segment = line.data.segment(int(number))
        events = segment.pivot_events
        apart = np.abs(segment.decisions.ts[made.row[own]][:, None] - events.ts)
        near[own] = ((apart <= reach) & (events.known_row <= made.next_row[own, None])).any(1)
    return near


def _global(line: Pipeline, made: Transitions, rows: NDArray[np.int32]) -> I64:
    market = line.run.rollout.market
    place = {int(n): int(f) for n, f in zip(market.numbers, market.path.first_row, strict=False)}
    return np.array([place[int(n)] for n in made.segment], np.int64) + rows


def _tags_made(line: Pipeline, experience: Experience) -> Probe:
    """A lane that passes the row at which a pivot becomes known names the rows around it."""
    passed = sum(
        _passed(line.data.segment(int(n)), experience.transitions, int(n))
        for n in np.unique(experience.transitions.segment)
    )
    rows = sum(len(tag.rows) for tag in experience.tags)
    effect = f"{passed:,} pivots confirmed on the way, {rows:,} rows named"
    if not passed:
        note = f"no example in {len(experience.transitions):,} transitions"
        return Probe(GROUP, "confirmed pivot → tag", effect, "ok" if rows else "warning", note)
    return Probe.judged(
        GROUP, "confirmed pivot → tag", effect, rows > 0, "pivots are confirmed, nothing is tagged"
    )


def _passed(segment: Segment, made: Transitions, number: int) -> int:
    """Pivots of a segment that some transition passes and whose own time is in the day."""
    own, events = made.segment == number, segment.pivot_events
    inside = events.known_row[(events.ts >= segment.day) & (events.known_row < segment.rows)]
    between = (made.row[own][:, None] < inside) & (inside <= made.next_row[own][:, None])
    return int(between.any(0).sum())


def _tags_held(line: Pipeline, experience: Experience) -> Probe:
    """Tags for rows that are held, sent the way the rollout's tags go, reach the stratum."""
    connection, made = "tag → stratum", experience.transitions
    plain = made.take(np.flatnonzero((made.strata & EXTREMA) == 0))
    if not len(plain):
        return Probe(GROUP, connection, "–", "warning", "every transition has the bit already")
    rows = np.unique(plain.row[plain.segment == plain.segment[0]]).astype(np.int64)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), 64)).astype(np.int64)]
    before = _held(line.run.shards, "extrema")
    tag = Tag(int(plain.segment[0]), np.unique(rows))
    nothing = made.take(np.empty(0, np.int64))
    line.run.deliver(RolloutResult(nothing, np.empty(0, np.float32), [tag], 0, {}))
    more = _held(line.run.shards, "extrema") - before
    return Probe.judged(
        GROUP, connection, f"{len(tag.rows)} rows tagged, {more:,.0f} transitions joined",
        more > 0, "tags never reach the transitions that the shards hold",
    )  # fmt: skip


def _held(shards: Sequence[ReplayShard], stratum: str) -> float:
    metrics = [shard.metrics() for shard in shards]
    return sum(m[f"replay/share_held_{stratum}"] * m["replay/size"] for m in metrics)


def _samples(line: Pipeline, shard: int) -> list[Sample]:
    drawn = [line.run.draw(shard) for _ in range(_BATCHES)]
    return [sample for sample in drawn if sample is not None]


def _share(line: Pipeline, samples: list[Sample], stratum: int) -> Probe:
    """A stratum has its configured share of every batch, and what is drawn for it belongs to it.

    A shard cannot draw more of a stratum than it holds; main has the rest.
    """
    name, config = STRATA[stratum], line.config.replay
    wanted, connection = config.shares[stratum], f"{name} → batch"
    held = [_held([shard], name) for shard in line.run.shards]
    if not samples:
        return Probe(GROUP, connection, "–", "hole", "no shard gives a batch")
    bits = np.concatenate([s.transitions.strata[s.stratum == stratum] for s in samples])
    share = len(bits) / sum(len(s.stratum) for s in samples)
    effect = f"drawn {share:.3f}, configured {wanted:.3f}, {sum(held):,.0f} held"
    if wanted == 0.0:
        return Probe(GROUP, connection, effect, "off", "its share is 0 in the configuration")
    if not (bits & (1 << stratum)).all():
        return Probe(GROUP, connection, effect, "hole", "draws transitions of other strata")
    possible = float(np.mean([min(wanted, held[s.shard] / config.batch_size) for s in samples]))
    if possible - share > 1.5 / config.batch_size:
        return Probe(GROUP, connection, effect, "hole", "has less than its configured share")
    if wanted - possible > 1.5 / config.batch_size:
        note = "few of them in this short rollout: main has the rest"
        return Probe(GROUP, connection, effect, "warning", note)
    return Probe(GROUP, connection, effect, "ok")


def _priorities(line: Pipeline) -> Probe:
    """The learner's TD errors reach the shard, and a high one is drawn more often."""
    connection = "TD error → priority → sampling"
    sample = first_sample(line)
    shard = line.run.shards[sample.shard]
    count, mass = shard.metrics()["replay/updates"], shard.mass
    line.run.learn(sample)
    updated, moved = shard.metrics()["replay/updates"] - count, abs(shard.mass - mass)
    few = np.arange(4)
    before = _drawn(line, sample.shard, sample.slot[few])
    high = np.full(len(few), 1e3 * (1.0 + shard.mass / max(len(shard), 1)))
    shard.update(sample.slot[few], sample.generation[few], high)
    after = _drawn(line, sample.shard, sample.slot[few])
    effect = (
        f"{updated:.0f} updated, mass moves by {moved / max(mass, 1e-30):.1e}; "
        f"raised ones drawn {before:.1%} → {after:.1%}"
    )
    note = ""
    if not (updated > 0 and moved > 0):
        note = "an update leaves the shard's priorities as they were"
    elif after <= before:
        note = "a higher priority is not drawn more often"
    return Probe(GROUP, connection, effect, "hole" if note else "ok", note)


def _drawn(line: Pipeline, shard: int, slots: I64) -> float:
    """Share of the next batches' main draws that fall on some slots."""
    samples = _samples(line, shard)
    main = np.concatenate([s.slot[s.stratum == 0] for s in samples]) if samples else slots[:0]
    return float(np.isin(main, slots).mean()) if len(main) else 0.0
