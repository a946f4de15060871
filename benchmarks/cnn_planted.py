"""The CNN against its baselines on markets with a planted edge, and on one without.

    python benchmarks/cnn_planted.py                        # ticks, 4 days, 400 steps each
    python benchmarks/cnn_planted.py --clock 1m --days 60   # minute bars
    python benchmarks/cnn_planted.py --markets lead_lag --steps 800 --threads 2

Prints one table per market: every horizon, every predictor, on the same validation rows.
"""

from __future__ import annotations

import argparse
import time

import torch

from apex_trader.market.synthetic import generate
from apex_trader.models.config import CNNConfig, PretrainConfig
from apex_trader.models.judge import horizon_name
from apex_trader.models.pretrain import Pretrainer
from apex_trader.state.builder import SegmentBuilder
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema, eth_full, eth_minutes
from apex_trader.state.segment import Segment

MARKETS = ("mean_reversion", "lead_lag", "regimes", "martingale")
WHO = {"": "cnn", "majority/": "majority", "last_sign/": "last sign", "logistic/": "logistic"}
SCORES = ("log_loss", "accuracy", "balanced_accuracy", "directional_accuracy",
          "information_coefficient")  # fmt: skip


def segments_of(name: str, schema: Schema, clock: str, days: int, seed: int) -> list[Segment]:
    markets = list(generate(name, seed, clock=clock, days=days).values())
    builder = SegmentBuilder(schema, markets[0].source(), markets[1].source())
    segments = [builder.build(day) for day in builder.days()[-days:]]
    return [segment for segment in segments if segment.decisions.decidable.any()]


def judge_market(name: str, args: argparse.Namespace) -> None:
    schema = eth_full() if args.clock == "1s" else eth_minutes()
    began = time.perf_counter()
    segments = segments_of(name, schema, args.clock, args.days, args.seed)
    tables = MarketTables.from_segments(segments, schema)
    built = time.perf_counter() - began
    config = PretrainConfig(
        steps=args.steps, seconds=args.seconds, validation_share=args.validation_share,
        evaluate_every=args.evaluate_every, baseline_rows=args.baseline_rows,
    )  # fmt: skip
    pretrainer = Pretrainer(tables, segments, config, args.seed, CNNConfig())
    pretrainer.fit()
    began = time.perf_counter()
    frozen = pretrainer.freeze()
    judged = time.perf_counter() - began
    print(
        f"\n{name}: {len(segments)} days, {tables.decisions:,} decisions, "
        f"{frozen.parameters:,} parameters; {pretrainer.step_count} steps in "
        f"{pretrainer.seconds:.0f} s, best at {pretrainer.best_step}; built in {built:.0f} s, "
        f"judged in {judged:.0f} s"
    )
    figures = frozen.figures
    header = "log loss", "accuracy", "balanced", "directional", "corr"
    print(f"{'horizon':8} {'who':10} " + " ".join(f"{h:>11}" for h in header))
    for horizon in schema.horizons:
        place = f"pretrain/{horizon_name(horizon)}/"
        for who, shown in WHO.items():
            if f"{place}{who}log_loss" not in figures:
                continue
            values = " ".join(f"{figures[place + who + score]:11.4f}" for score in SCORES)
            print(f"{horizon_name(horizon):8} {shown:10} {values}")
        print(
            f"{'':8} {'':10} independent rows {figures[place + 'independent_rows']:.0f}, R² of "
            f"magnitude {figures[place + 'magnitude_r2']:.3f}, of volatility "
            f"{figures[place + 'volatility_r2']:.3f}"
        )
    if "pretrain/pivot/log_loss" in figures:
        print(
            f"swing    log loss {figures['pretrain/pivot/log_loss']:.4f}, of its base rate "
            f"{figures['pretrain/pivot/base_rate_log_loss']:.4f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--markets", nargs="+", default=list(MARKETS), choices=MARKETS)
    parser.add_argument("--clock", choices=("1s", "1m"), default="1s")
    parser.add_argument("--days", type=int, default=4)
    parser.add_argument(
        "--seconds", type=float, default=0.0, help="of fitting at most, 0: no limit"
    )
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--evaluate-every", type=int, default=50)
    parser.add_argument("--validation-share", type=float, default=0.3)
    parser.add_argument("--baseline-rows", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    for name in args.markets:
        judge_market(name, args)


if __name__ == "__main__":
    main()
