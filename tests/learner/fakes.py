"""Small markets for the learner's tests: real schemas and tables, random content."""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from apex_trader.experience import STRATA, Sample, Transitions
from apex_trader.models.config import DuelingConfig, EncoderConfig, StackConfig
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.gather import CNN_WIDTH
from apex_trader.state.schema import ACCOUNT_SIZE, Schema, eth_minutes
from apex_trader.state.segment import Decisions, Outcomes, PivotEvents, Segment
from learner.arena import DeviceArena, Loaded

WINDOW = 6
#: All blocks of eth_minutes, over windows of a few rows.
SCHEMA = eth_minutes(rows=WINDOW)
EXTRACTOR = "extractor-1"


def random_segment(schema: Schema, rows: int = 40, seed: int = 0, key: str = "") -> Segment:
    """A day whose tables are random; every clock has one table row a decision."""
    rng = np.random.default_rng(seed)
    length = rows + WINDOW - 1
    tables, row_scale = {}, {}
    for block in schema.blocks:
        if block.clock not in schema.clocks:
            continue
        table = rng.normal(0, 1, (length, block.width)).astype(np.float32)
        tables[block.name] = table
        if block.name == "pivots":
            shape = (length, block.anchored)
            row_scale[block.name] = rng.uniform(0.5, 2, shape).astype(np.float32)
    last = np.arange(WINDOW - 1, length, dtype=np.int32)
    clocks = schema.clocks
    decisions = Decisions(
        ts=np.arange(rows, dtype=np.int64) * schema.decision_interval,
        start=dict.fromkeys(clocks, last - WINDOW + 1),
        row=dict.fromkeys(clocks, last),
        anchor=rng.normal(0, 0.1, (rows, 2)).astype(np.float32),
        scale={c: rng.uniform(0.5, 2, (rows, 2)).astype(np.float32) for c in clocks},
        coverage=np.ones((rows, len(schema.blocks)), np.float32),
        decidable=np.ones(rows, np.bool_),
        sigma_hour=np.full(rows, 0.01, np.float32),
        sigma_decision=np.full(rows, 0.001, np.float32),
        trend=rng.uniform(-1, 1, rows).astype(np.float32),
        choppiness=np.zeros(rows, np.float32),
        mark=np.zeros(rows),
    )
    following = np.arange(1, rows + 1, dtype=np.int32)
    following[-1] = -1
    outcomes = Outcomes(
        np.zeros(rows), decisions.ts + 1, following, np.zeros(rows, np.int32),
        np.zeros(rows, np.float32),
    )  # fmt: skip
    events = PivotEvents(
        np.empty(0, np.int32), np.empty(0, np.int8), np.empty(0, np.int8), np.empty(0, np.int64)
    )
    return Segment(
        key or f"key-{seed}", schema.fingerprint, "fake:ETHUSDT", 0, (0.0, 0.0), tables, row_scale,
        decisions, outcomes, events,
    )  # fmt: skip


def cnn_rows(count: int, seed: int = 0) -> np.ndarray:
    """Random CNN rows whose mirrored direction is the negative: [count, 2, 528] float16."""
    rng = np.random.default_rng(seed + 100)
    rows = rng.normal(0, 1, (count, 2, CNN_WIDTH)).astype(np.float16)
    predictions = rows[:, 0, -16:].copy()
    predictions[:, 0::4] *= -1  # direction is odd, the other three are even
    rows[:, 1, -16:] = predictions
    return rows


def loaded(schema: Schema, seed: int = 0, rows: int = 40, version: str = EXTRACTOR) -> Loaded:
    """A random segment with its CNN rows."""
    return Loaded(random_segment(schema, rows, seed), cnn_rows(rows, seed), version)


def small_network(schema: Schema, actions: int = 3, seed: int = 0) -> DuelingQNetwork:
    """A dueling network of a few thousand weights."""
    stack = StackConfig(strides=(3, 2), channels=(8, 8), features=8)
    encoder = EncoderConfig(stack=stack, hidden_features=8, vector_features=8, fusion=16, width=16)
    generator = torch.Generator().manual_seed(seed)
    return DuelingQNetwork(schema, actions, DuelingConfig(encoder, hidden=16), generator)


def random_sample(size: int, rows: int = 40, segments: int = 1, seed: int = 0) -> Sample:
    """Random one-step transitions between neighbouring rows."""
    rng = np.random.default_rng(seed)
    account = rng.normal(0, 1, (2, size, ACCOUNT_SIZE)).astype(np.float32)
    account[:, :, 0] = rng.integers(-1, 2, (2, size))
    row = rng.integers(0, rows - 1, size).astype(np.int32)
    transitions = Transitions(
        segment=rng.integers(0, segments, size).astype(np.int32),
        row=row,
        next_row=row + 1,
        account=account[0],
        next_account=account[1],
        action=rng.integers(0, 3, size).astype(np.uint8),
        reward=rng.normal(0, 1, size).astype(np.float32),
        discount=np.where(rng.random(size) < 0.1, 0.0, 0.97).astype(np.float32),
        strata=np.ones(size, np.uint8),
    )
    return Sample(
        transitions,
        slot=np.arange(size, dtype=np.int64),
        generation=(np.uint64(1) << np.uint64(40)) + np.arange(1, size + 1, dtype=np.uint64),
        weight=rng.uniform(0.2, 1.0, size).astype(np.float32),
        shard=0,
        stratum=rng.integers(0, len(STRATA), size).astype(np.uint8),
    )


def all_outcomes(sample: Sample, actions: int = 3) -> Sample:
    """The same sample, each action with an outcome; the one taken with that of the sample."""
    t, size = sample.transitions, len(sample.transitions)
    other = random_sample(size * actions, seed=len(t) + 1).transitions
    reward, discount = (c.reshape(size, actions).copy() for c in (other.reward, other.discount))
    account = other.next_account.reshape(size, actions, ACCOUNT_SIZE).copy()
    taken = np.arange(size), t.action
    reward[taken], discount[taken], account[taken] = t.reward, t.discount, t.next_account
    columns = {"reward": reward, "discount": discount, "next_account": account.astype(np.float16)}
    return dataclasses.replace(sample, transitions=dataclasses.replace(t, **columns))


def filled_arena(schema: Schema, seeds: list[int]) -> DeviceArena:
    """An arena that holds one random segment a seed, numbered from 0."""
    parts = [loaded(schema, seed) for seed in seeds]
    arena = DeviceArena.of([part.segment for part in parts], schema)
    arena.swap_cnn(EXTRACTOR, lambda number: parts[number].cnn)  # type: ignore[arg-type, return-value]
    return arena
