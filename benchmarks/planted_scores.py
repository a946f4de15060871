"""What an agent earns on planted markets, of what their filter optimum earns on the same days.

    python -m benchmarks.planted_scores                                  # 3 markets, 5 seeds
    python -m benchmarks.planted_scores --seeds 0 1 --jobs 2 --folder runs/scores
    python -m benchmarks.planted_scores --markets regimes --set state.without=[pivots] \\
        --folder runs/without-pivots
    python -m benchmarks.planted_scores --markets mean_reversion --parameters half_life=120 \\
        --folder runs/slower

Each run is ``train +experiment=planted runtime=serial`` in a process and a folder of its own, which
is read, not run again, where its result lies already: other settings need another --folder.
"score": net log profit on unseen days over the filter optimum's, with the standard error of these
days; "trades": a day's. The median of a market's seeds comes with the range in which the true
median lies with the chance that is said (order statistics, Conover 1999, 3.2).
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.trained import ALONE, add_run_options, result_of, results_of

MARKETS = ("mean_reversion", "lead_lag", "regimes")
#: What a market has instead of the experiment's settings: test days enough to tell its score to
#: 0.03 and, where a day holds few of its patterns (48 regimes of half an hour), more days to learn.
SETTINGS: dict[str, tuple[str, ...]] = {
    "mean_reversion": ("++market.parameters.days=50",),
    "regimes": (
        "++market.parameters.days=142",
        "periods.extractor=0.08",
        "periods.validation_start=2024-02-22",
        "periods.test_start=2024-03-03",
        "train.resident_days=48",
    ),
}


@dataclass(frozen=True)
class Run:
    """One run: where it lies and what it is given."""

    market: str
    seed: int
    folder: Path
    settings: tuple[str, ...]
    parameters: tuple[str, ...]

    def result(self) -> dict[str, Any]:
        """What it wrote at its end; made first, where it is not there."""
        planted = [f"++market.parameters.{setting}" for setting in self.parameters]
        command = [
            sys.executable, "-m", "apex_trader.train", "+experiment=planted", *ALONE,
            f"market.synthetic={self.market}", f"seed={self.seed}",
            *SETTINGS.get(self.market, ()), *planted, *self.settings,
        ]  # fmt: skip
        return result_of(command, self.folder, f"{self.market} seed {self.seed}")


def median_range(values: np.ndarray) -> tuple[float, float, float]:
    """(least, largest, chance): the outermost values hold the true median with that chance."""
    chance = 1.0 - 2.0 * float(stats.binom.cdf(0, len(values), 0.5))
    return float(values.min()), float(values.max()), chance


def table(runs: list[Run], results: list[dict[str, Any]]) -> None:
    print(f"\n{'market':16} {'seed':>4} {'score':>7} {'± days':>7} {'trades':>7} {'updates':>8}")
    scores: dict[str, list[float]] = {}
    for run, result in zip(runs, results, strict=True):
        found = result["evaluation"]["scores"]["filter optimum"]
        value, own = found["value"], scores.setdefault(run.market, [])
        trades = result["backtest"]["agent"]["trades_per_day"]
        print(f"{run.market:16} {run.seed:4d} {_shown(value)} {_shown(found['standard_error'])} "
              f"{trades:7.0f} {result['agent']['updates']:8d}")  # fmt: skip
        if isinstance(value, float):
            own.append(value)
        else:
            print(f"  no score: {value['missing']}")
    print(f"\n{'market':16} {'seeds':>5} {'median':>7}  range")
    for market, values in scores.items():
        if not values:
            print(f"{market:16} {0:5d}       –  –")
            continue
        low, high, chance = median_range(np.array(values))
        print(f"{market:16} {len(values):5d} {np.median(values):7.3f}  "
              f"{low:.3f} … {high:.3f} ({chance:.0%})")  # fmt: skip


def _shown(figure: Any) -> str:
    """A figure of a result, or a dash where it is missing."""
    return f"{figure:7.3f}" if isinstance(figure, float) else "      –"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--markets", nargs="+", default=MARKETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=range(5))
    parser.add_argument("--parameters", nargs="*", default=(), help="of the generator, name=value")
    add_run_options(parser, "runs/planted-scores")
    options = parser.parse_args()
    runs = [
        Run(market, seed, options.folder / f"{market}-{seed}", tuple(options.set),
            tuple(options.parameters))
        for seed in options.seeds for market in options.markets
    ]  # fmt: skip
    table(runs, results_of(runs, options.jobs))


if __name__ == "__main__":
    main()
