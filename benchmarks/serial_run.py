"""Where the CPU time of a serial run goes, by part.

    NUMBA_CACHE_DIR=$(mktemp -d) OMP_NUM_THREADS=1 \
        python -m benchmarks.serial_run +experiment=quickstart runtime=serial hydra.run.dir=DIR

Takes the options of ``apex_trader.train``; a fresh NUMBA_CACHE_DIR includes compilation. CPU
seconds, not wall seconds, so that other work on the machine counts little. Parts contain those
that are indented below them, and only those that the run calls are listed. Nothing is sampled: a
part's time is read when it is entered and left, at about a microsecond a call.
"""

from __future__ import annotations

import time
from typing import Any

_START = time.process_time()

from actors.evaluation import GreedyPolicy  # noqa: E402
from apex_trader import train  # noqa: E402
from apex_trader.models.frozen import FrozenExtractor  # noqa: E402
from apex_trader.runtime import judge  # noqa: E402
from apex_trader.runtime.serial import SerialRun  # noqa: E402
from apex_trader.runtime.session import Session  # noqa: E402
from apex_trader.state.builder import SegmentBuilder  # noqa: E402
from apex_trader.trading.simulator import Simulator  # noqa: E402
from benchmarks.watched import Watched  # noqa: E402

_IMPORTED = time.process_time()

#: What is timed: (name, holder, attribute).
PARTS: tuple[tuple[str, Any, str], ...] = (
    ("market", train, "prepare_store"),
    ("session, W&B", Session, "__init__"),
    ("segments", SegmentBuilder, "build"),
    ("fit of the CNN", SerialRun, "_fit_extractor"),
    ("CNN rows", FrozenExtractor, "rows"),
    ("rollouts", SerialRun, "_collect"),
    ("updates", SerialRun, "_update"),
    ("evaluations", SerialRun, "_evaluate"),
    ("checkpoints", SerialRun, "_save"),
    ("test days", train, "finish"),
    ("  accounts of the agent", judge, "walk_agent"),
    ("  report", train, "write_report"),
    ("any: greedy decisions", GreedyPolicy, "act"),
    ("any: simulator steps", Simulator, "step"),
)


def table(watched: Watched) -> str:
    """One line a part."""
    lines = [f"{'part':<24}{'CPU s':>9}{'calls':>9}{'ms a call':>12}"]
    lines.append(f"{'imports':<24}{_IMPORTED - _START:9.2f}")
    for name, _, _ in PARTS:
        if name in watched.spent:
            seconds, calls = watched.spent[name]
            lines.append(f"{name:<24}{seconds:9.2f}{calls:9d}{1e3 * seconds / calls:12.3f}")
    lines.append(f"{'all':<24}{time.process_time() - _START:9.2f}")
    return "\n".join(lines)


def main() -> None:
    """Run, then print the table."""
    watched = Watched(time.process_time)
    for part in PARTS:
        watched.watch(*part)
    started = time.monotonic()
    try:
        train.main()
    finally:
        print(f"{table(watched)}\n{'wall':<24}{time.monotonic() - started:9.2f}")


if __name__ == "__main__":
    main()
