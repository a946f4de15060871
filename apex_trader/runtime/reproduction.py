"""The commands, versions and data that a result came from."""

from __future__ import annotations

import hashlib
import platform
import shlex
from collections.abc import Sequence
from importlib.metadata import version

from omegaconf import OmegaConf

from apex_trader.errors import ApexError
from apex_trader.evaluation.report.data import Reproduction
from apex_trader.runtime.compose import compose_config, load_config, plain
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.overrides import changes
from apex_trader.runtime.resume import recorded_changes
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, format_date
from apex_trader.version import VERSION

#: Programs whose version may change a result.
_PROGRAMS = ("torch", "numpy", "numba", "ray")


def reproduction(
    config: Config, data: MarketData, agent: Agent, segments: Sequence[Segment], run: RunFolder
) -> Reproduction:
    """How to train the run's agent and judge it on the days of the segments once more."""
    trained = load_config(run)
    judged = " ".join([
        "python -m apex_trader.backtest", shlex.quote(f"run={run.path}"),
        f"checkpoint={agent.checkpoint}", *_span(segments), *changes(trained, config),
    ])  # fmt: skip
    resumed = {
        f"Resumed at update {updates:,} with": " ".join(made)
        for updates, made in recorded_changes(run)
    }
    return Reproduction(
        {"Train it": train_command(trained), **resumed, "Judge it again, on these days": judged},
        OmegaConf.to_yaml(OmegaConf.create(plain(config))),
        {
            "apex-trader": VERSION,
            "Python": platform.python_version(),
            **{program: version(program) for program in _PROGRAMS},
            "checkpoint": agent.checkpoint,
            "extractor": agent.extractor.version if agent.extractor else "none",
            "state": data.schema.fingerprint,
            "days judged": data_digest(segments),
        },
    )


def train_command(config: Config) -> str:
    """What to type to train with a configuration: its experiment, and what differs from that."""
    chosen: list[str] = []
    try:
        base = compose_config([f"+experiment={config.name}"])
        chosen = [f"+experiment={config.name}"]
    except ApexError:  # a name of the user's own
        base = compose_config([])
    return " ".join(["python -m apex_trader.train", *chosen, *changes(base, config)])


def data_digest(segments: Sequence[Segment]) -> str:
    """Hex digest of the market content and schema of days: equal for equal data alone."""
    return hashlib.sha256("\n".join(s.key for s in segments).encode()).hexdigest()[:16]


def _span(segments: Sequence[Segment]) -> list[str]:
    days = [segment.day for segment in segments]
    return [f"from={format_date(min(days))}", f"to={format_date(max(days) + DAY)}"]
