"""The commands, versions and data that a result came from."""

from __future__ import annotations

import hashlib
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from omegaconf import OmegaConf

from apex_trader.errors import ApexError
from apex_trader.evaluation.report.data import Reproduction
from apex_trader.runtime.compose import FREE, compose_config, flat, load_config, plain
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.segment import Segment
from apex_trader.time import DAY, format_date
from apex_trader.version import VERSION

#: Programs whose version may change a result.
_PROGRAMS = ("torch", "numpy", "numba", "ray")
#: Text that is taken as it is, and words that are not taken for text.
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./:+@-]*")
_WORDS = ("true", "false", "null", "nan", "inf", "yes", "no", "on", "off", ".nan", ".inf")
#: Settings that say where a run went, not what it was.
_PLACES = ("resume",)


def reproduction(
    config: Config, data: MarketData, agent: Agent, segments: Sequence[Segment], run: RunFolder
) -> Reproduction:
    """How to train the run's agent and judge it on the days of the segments once more."""
    trained = load_config(run)
    judged = " ".join([
        "python -m apex_trader.backtest", shlex.quote(f"run={run.path}"),
        f"checkpoint={agent.checkpoint}", *_span(segments), *_changes(trained, config),
    ])  # fmt: skip
    return Reproduction(
        {"Train it": train_command(trained), "Judge it again, on these days": judged},
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
    return " ".join(["python -m apex_trader.train", *chosen, *_changes(base, config)])


def data_digest(segments: Sequence[Segment]) -> str:
    """Hex digest of the market content and schema of days: equal for equal data alone."""
    return hashlib.sha256("\n".join(s.key for s in segments).encode()).hexdigest()[:16]


def _span(segments: Sequence[Segment]) -> list[str]:
    days = [segment.day for segment in segments]
    return [f"from={format_date(min(days))}", f"to={format_date(max(days) + DAY)}"]


def _changes(base: Config, config: Config) -> list[str]:
    """Settings of ``config`` that differ from ``base``, quoted for the shell."""
    before, now = flat(plain(base), FREE), flat(plain(config), FREE)
    return [
        shlex.quote(f"{name}={_value(value)}")
        for name, value in now.items()
        if before.get(name) != value and name not in _PLACES
    ]


def _value(value: Any) -> str:
    """A value as Hydra's grammar takes it."""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}: {_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(_value(item) for item in value) + "]"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(value: str) -> str:
    """Text, quoted where Hydra or YAML would read something else into it."""
    if _PLAIN.fullmatch(value) and value.lower() not in _WORDS:
        return value
    return "'" + value.replace("'", "\\'") + "'"
