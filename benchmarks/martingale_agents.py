"""Whether trained agents earn anything where nothing can be earned, and whether a leak would show.

    python -m benchmarks.martingale_agents                     # honest, then a leak on each clock
    python -m benchmarks.martingale_agents --leaks none --days 100 --seeds 0 1 2
    python -m benchmarks.martingale_agents --fee 0.0002        # learns to stay out

Each run is ``train +experiment=planted`` on a ``martingale`` at no cost and no latency, in a
process and a folder of its own, which is read, not run again, where its result lies already. Its
test days come after all that it learned from. With a leak the states of all its days show one row
of that clock before it has closed. Log return a day in basis points less fees (by default there are
none: it is gross), its t over the test days (those of a martingale are independent), and the chance
of so much by luck (one-sided).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from apex_trader.time import CLOCKS
from apex_trader.train import main as train
from benchmarks.leaks import leak_of_one_row
from benchmarks.trained import ALONE, add_run_options, result_of, results_of

#: Days in front of the first test day of the experiment "planted".
BEFORE = 26
HONEST = "none"


@dataclass(frozen=True)
class Run:
    """One run: what is leaked to it, and how long it is judged."""

    leak: str
    seed: int
    days: int
    fee: float
    folder: Path
    settings: tuple[str, ...]

    def result(self) -> dict[str, Any]:
        """What it wrote at its end; made first, where it is not there."""
        command = [
            sys.executable, "-m", "benchmarks.martingale_agents", "train", self.leak,
            "+experiment=planted", *ALONE, "market.synthetic=martingale", f"seed={self.seed}",
            f"++market.parameters.days={BEFORE + self.days}", "state.decide_every=30",
            "execution.latency=0", f"trading.fee={self.fee}", *self.settings,
        ]  # fmt: skip
        return result_of(command, self.folder, f"leak {self.leak}, seed {self.seed}")


def table(runs: list[Run], results: list[dict[str, Any]]) -> None:
    print(f"\n{'leak':5} {'seed':>4} {'days':>5} {'bp a day':>9} {'t':>7} {'chance':>9} "
          f"{'orders a day':>12} {'exposure':>9}")  # fmt: skip
    for run, result in zip(runs, results, strict=True):
        days = np.array(result["evaluation"]["daily"]["agent"])
        agent = result["backtest"]["agent"]
        error = days.std(ddof=1) / np.sqrt(len(days))
        t = float(days.mean() / error) if error > 0 else 0.0
        chance = float(stats.t.sf(t, len(days) - 1))
        print(f"{run.leak:5} {run.seed:4d} {len(days):5d} {1e4 * days.mean():9.2f} {t:7.2f} "
              f"{chance:9.2g} {agent['trades_per_day']:12.1f} "
              f"{agent['exposure']:9.3f}")  # fmt: skip


def leaky_train(leak: str, settings: list[str]) -> None:
    """The command ``train`` with these settings, one row of a clock leaked to it or none."""
    sys.argv = ["train", *settings]
    if leak == HONEST:
        train()
        return
    with leak_of_one_row(leak):
        train()


def main() -> None:
    if sys.argv[1:2] == ["train"]:
        leaky_train(sys.argv[2], sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--leaks", nargs="+", default=[HONEST, *CLOCKS], choices=[HONEST, *CLOCKS])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--days", type=int, default=100, help="test days")
    parser.add_argument("--fee", type=float, default=0.0, help="share of what is traded")
    add_run_options(parser, "runs/martingale-agents")
    options = parser.parse_args()
    runs = [
        Run(leak, seed, options.days, options.fee, options.folder / f"{leak}-{seed}",
            tuple(options.set))
        for leak in options.leaks for seed in options.seeds
    ]  # fmt: skip
    table(runs, results_of(runs, options.jobs))


if __name__ == "__main__":
    main()
