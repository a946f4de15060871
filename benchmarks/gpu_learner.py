"""How fast the learner updates, where the time goes, and how far it is from the floor.

    python benchmarks/gpu_learner.py                                  # on a GPU, at full size
    python benchmarks/gpu_learner.py --device cpu --updates 5 --batch 64 --segments 1

Tables are random, at the size of ``eth_full`` (15,798 features, a day of seconds a segment); the
network is the one of a real run. Needs this repository, torch and numpy.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[1]))

from apex_trader.experience import STRATA, Sample, Transitions
from apex_trader.models.config import DuelingConfig
from apex_trader.models.dueling import DuelingQNetwork
from apex_trader.state.gather import CNN_WIDTH, gather
from apex_trader.state.schema import ACCOUNT_SIZE, Schema, eth_full
from apex_trader.state.segment import Decisions, Outcomes, PivotEvents, Segment
from apex_trader.trading.potentials import PotentialWeights
from learner.arena import DeviceArena, Loaded, SlotShape
from learner.config import LearnerConfig
from learner.optimiser import skip_where
from learner.update import Learner


def random_segment(schema: Schema, rng: np.random.Generator, number: int) -> Loaded:
    """A full day of random tables, windows where a real day has them."""
    room = SlotShape.of_day(schema)
    n = room.decisions
    tables, row_scale = {}, {}
    for block in schema.blocks:
        if block.clock not in schema.clocks:
            continue
        shape = (room.rows[block.clock], block.width)
        tables[block.name] = rng.standard_normal(shape, np.float32)
        if block.row_scaled:
            row_scale[block.name] = np.ones((shape[0], block.anchored), np.float32)
    ts = np.arange(n, dtype=np.int64) * schema.decision_interval
    row, start = {}, {}
    for clock in schema.clocks:
        window = max(b.window for b in schema.blocks if b.clock == clock)
        length = room.rows[clock] - window
        row[clock] = (window - 1 + np.arange(n) * length // n).astype(np.int32)
        start[clock] = row[clock] - window + 1
    unit = {c: np.ones((n, 2), np.float32) for c in schema.clocks}
    one = np.ones(n, np.float32)
    decisions = Decisions(
        ts, start, row, np.zeros((n, 2), np.float32), unit,
        np.ones((n, len(schema.blocks)), np.float32), np.ones(n, np.bool_), one, one,
        rng.uniform(-1, 1, n).astype(np.float32), one, np.zeros(n),
    )  # fmt: skip
    following = np.arange(1, n + 1, dtype=np.int32)
    outcomes = Outcomes(np.zeros(n), ts, following, np.zeros(n, np.int32), one)
    nothing = np.empty(0, np.int64)
    events = PivotEvents(
        nothing.astype(np.int32), nothing.astype(np.int8), nothing.astype(np.int8), nothing
    )
    segment = Segment(
        f"random-{number}", schema.fingerprint, "random", 0, (0.0, 0.0), tables, row_scale,
        decisions, outcomes, events, synthetic=True,
    )  # fmt: skip
    cnn = rng.standard_normal((n, 2, CNN_WIDTH), np.float32).astype(np.float16)
    return Loaded(segment, cnn, "random")


def random_sample(batch: int, segments: int, rows: int, rng: np.random.Generator) -> Sample:
    """Transitions of three decisions at random places of all segments."""
    account = rng.standard_normal((2, batch, ACCOUNT_SIZE), np.float32)
    row = rng.integers(0, rows - 3, batch).astype(np.int32)
    transitions = Transitions(
        rng.integers(0, segments, batch).astype(np.int32), row, row + 3, account[0], account[1],
        rng.integers(0, 3, batch).astype(np.uint8), rng.standard_normal(batch, np.float32),
        np.full(batch, 0.99**3, np.float32), np.ones(batch, np.uint8),
    )  # fmt: skip
    return Sample(
        transitions, np.arange(batch), np.arange(1, batch + 1, dtype=np.uint64),
        rng.uniform(0.1, 1, batch).astype(np.float32), 0,
        rng.integers(0, len(STRATA), batch).astype(np.uint8),
    )  # fmt: skip


class Bench:
    """One arena, many samples, a learner for each way to run the update."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.device = options, torch.device(options.device)
        rng = np.random.default_rng(options.seed)
        schema = eth_full()
        budget = SlotShape.of_day(schema).nbytes(schema) * options.segments
        self.arena = DeviceArena(schema, budget, self.device, segments=options.segments)
        for number in range(options.segments):
            self.arena.add(number, random_segment(schema, rng, number))
        self.samples = [
            random_sample(options.batch, options.segments, self.arena.shape.decisions, rng)
            for _ in range(32)
        ]

    def learner(self, compile: str, cuda_graph: str, precision: str) -> Learner:
        config = LearnerConfig(
            batch_size=self.options.batch, compile=compile, cuda_graph=cuda_graph,
            precision=precision, decay_updates=0,
        )  # fmt: skip
        generator = torch.Generator().manual_seed(self.options.seed)
        network = DuelingQNetwork(self.arena.tables.schema, 3, DuelingConfig(), generator)
        return Learner(
            network, self.arena, config, np.random.default_rng(self.options.seed),
            potentials=PotentialWeights(0.02, 0.02), action_mirror=np.array([2, 1, 0]),
        )  # fmt: skip

    def sync(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def updates_per_second(self, learner: Learner, updates: int) -> float:
        """Median of five runs. Priorities are fetched one update later, as in a real run."""
        warm = self.options.warm_up
        self._run(learner, warm)
        rates = []
        for _ in range(5):
            self.sync()
            start = time.perf_counter()
            self._run(learner, updates)
            self.sync()
            rates.append(updates / (time.perf_counter() - start))
        return float(np.median(rates))

    def _run(self, learner: Learner, updates: int) -> None:
        pending = None
        for i in range(updates):
            now = learner.update(self.samples[i % len(self.samples)])
            if pending is not None:
                pending.value.sum()
            pending = now

    def seconds(self, work: Callable[[], object], repeat: int) -> float:
        """Median time of a piece of work on the device."""
        times = []
        for _ in range(repeat):
            self.sync()
            start = time.perf_counter()
            work()
            self.sync()
            times.append(time.perf_counter() - start)
        return float(np.median(times))

    def split(self, learner: Learner) -> dict[str, float]:
        """Seconds of each part of one update, each waited for on its own."""
        learner.update(self.samples[0])
        batch, repeat = learner._staging.batch, max(self.options.updates // 4, 3)
        arena, states = self.arena, learner._states

        def forward() -> object:
            potentials = learner._potentials.of(states, batch.account, batch.rows, batch.mirror)
            return learner._evaluate_batch(states, batch, potentials)

        def optimise() -> None:
            norm = nn.utils.clip_grad_norm_(learner._parameters, learner.config.gradient_clip)
            skip_where(learner._optimizer, (~torch.isfinite(norm)).float())
            learner._optimizer.step()
            learner._track_target()

        parts = {
            "host: rows, mirror, staging": self.seconds(
                lambda: learner._staging.put(learner._arrays(self.samples[0])), repeat
            ),
            "gather 2B states": self.seconds(
                lambda: gather(arena.tables, batch.rows, batch.mirror, out=states), repeat
            ),
            "three forward passes and loss": self.seconds(forward, repeat),
        }
        both = self.seconds(lambda: forward().loss.backward(), repeat)  # type: ignore[attr-defined]
        parts["backward"] = both - parts["three forward passes and loss"]
        parts["clip, AdamW, target"] = self.seconds(optimise, repeat)
        return parts

    def floor(self, learner: Learner) -> tuple[float, float, float, float]:
        """(bytes, FLOP) that one update cannot do without, and (bytes/s, FLOP/s) measured here."""
        states = learner._states
        learner.update(self.samples[0])
        batch = learner._staging.batch
        potentials = learner._potentials.of(states, batch.account, batch.rows, batch.mirror)
        with FlopCounterMode(display=False) as counter:
            learner._evaluate(states, batch, potentials).loss.backward()  # type: ignore[no-untyped-call]
        weights = sum(p.nbytes for p in learner.network.parameters())
        # Tables read and states written once; then read by three forward passes and one backward
        # (half of them each). AdamW reads weights, gradients and moments and writes three of them.
        moved = states.nbytes * (2 + 0.5 * 4) + weights * (7 + 3)
        return moved, counter.get_total_flops(), self._bandwidth(), self._flops(learner.precision)

    def _bandwidth(self) -> float:
        size = (1 << 30) if self.device.type == "cuda" else (1 << 27)
        a = torch.randn(size // 4, device=self.device)
        b = torch.empty_like(a)
        b.copy_(a)
        return 2 * a.nbytes / self.seconds(lambda: b.copy_(a), 7)

    def _flops(self, precision: str) -> float:
        n = 8192 if self.device.type == "cuda" else 1024
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        a = torch.randn(n, n, device=self.device).to(dtype)
        a @ a
        return 2 * n**3 / self.seconds(lambda: a @ a, 7)


def no_waiting(device: torch.device) -> AbstractContextManager[object]:
    """On a GPU: any operation that waits for it is an error inside this context."""

    class Strict:
        def __enter__(self) -> None:
            torch.cuda.set_sync_debug_mode("error")

        def __exit__(self, *_: object) -> None:
            torch.cuda.set_sync_debug_mode("default")

    return Strict() if device.type == "cuda" else nullcontext()


def waits(bench: Bench, learner: Learner) -> str:
    """Whether an update waits for the GPU, and where."""
    learner.update(bench.samples[0])
    try:
        with no_waiting(bench.device):
            for sample in bench.samples[:4]:
                learner.update(sample)
    except RuntimeError as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f"yes, at {Path(frame.filename).name}:{frame.lineno}: {frame.line}"
    return "no" if bench.device.type == "cuda" else "not measured on the CPU"


def modes(options: argparse.Namespace) -> list[tuple[str, str, str, str]]:
    """(name, compile, cuda_graph, precision) of each way to run."""
    if options.device == "cpu":
        ways = [("eager float32", "off", "off", "float32"), ("eager bf16", "off", "off", "bf16")]
        return [*ways, ("compiled float32", "on", "off", "float32")] if options.compile else ways
    return [
        ("eager float32", "off", "off", "float32"),
        ("eager bf16", "off", "off", "bf16"),
        ("CUDA graph bf16", "off", "on", "bf16"),
        ("compiled bf16", "on", "off", "bf16"),
        ("compiled + CUDA graph bf16", "on", "on", "bf16"),
    ]


def report(bench: Bench, options: argparse.Namespace) -> None:
    name = torch.cuda.get_device_name() if bench.device.type == "cuda" else "CPU"
    threads = torch.get_num_threads()
    print(f"device {name}, torch {torch.__version__}, {threads} threads, batch {options.batch}")
    print(bench.arena.summary())
    print(f"\n{'update':34s} {'updates/s':>10s} {'transitions/s':>14s}")
    for way, compile, graph, precision in modes(options):
        try:
            learner = bench.learner(compile, graph, precision)
            rate = bench.updates_per_second(learner, options.updates)
        except RuntimeError as error:
            print(f"{way:34s} impossible here: {str(error).splitlines()[0]}", flush=True)
            continue
        print(f"{way:34s} {rate:10.1f} {rate * options.batch:14.0f}", flush=True)
    learner = bench.learner("off", "off", "auto")
    print(f"\nan update waits for the device: {waits(bench, learner)}")
    print(f"\n{'part (eager, ' + learner.precision + ')':34s} {'ms':>10s}")
    for part, seconds in bench.split(learner).items():
        print(f"{part:34s} {seconds * 1e3:10.3f}")
    moved, flops, bandwidth, rate = bench.floor(learner)
    print(f"\nfloor: {moved / 1e6:.0f} MB at {bandwidth / 1e9:.0f} GB/s = "
          f"{moved / bandwidth * 1e3:.3f} ms; {flops / 1e9:.1f} GFLOP at {rate / 1e12:.2f} TFLOP/s "
          f"= {flops / rate * 1e3:.3f} ms")  # fmt: skip
    if bench.device.type == "cuda":
        print(f"peak device memory {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB")


def at_least_one(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1 is needed")
    return int(text)


def options_of(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    default = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", default=default, choices=("cuda", "cpu"))
    parser.add_argument("--batch", type=at_least_one, default=512)
    parser.add_argument("--updates", type=at_least_one, default=300, help="updates a timed run")
    parser.add_argument("--warm-up", type=int, default=10)
    parser.add_argument("--segments", type=at_least_one, default=16, help="resident days")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0, help="torch threads; 0: torch's choice")
    parser.add_argument("--compile", action="store_true", help="on the CPU: time torch.compile too")
    return parser.parse_args(arguments)


def main(arguments: list[str]) -> None:
    options = options_of(arguments)
    if options.device == "cpu":
        options.warm_up = min(options.warm_up, 2)
    if options.threads:
        torch.set_num_threads(options.threads)
    report(Bench(options), options)


if __name__ == "__main__":
    main(sys.argv[1:])
