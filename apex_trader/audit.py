"""Prove that every part is connected: perturb each input and see the effect.

    python -m apex_trader.audit +experiment=quickstart
    python -m apex_trader.audit +experiment=eth_full market.store=DIR
    python -m apex_trader.audit run=runs/…                  # a run: its weights, its extractor
    python -m apex_trader.audit run=runs/… --json audit.json

Drives the real pipeline on a few of the configured days: what the state requires and what of it is
delivered, every column, and every connection from the market to the loss and back to the actors.
Without a run it fits a minimal extractor and begins with untrained weights. Any setting can be
changed as name=value, as in ``apex_trader.train``.

    run=DIR      a run's folder: its configuration, best checkpoint and extractor; writes audit.json
                 there, unless settings are changed
    days=N       days whose columns are judged, evenly spread over the configured period (8)
    probe_days=N agent's days that the connections are perturbed on (2)
    --json FILE  write the findings for machines (also json=FILE)

Exit codes: 0 no hole; 1 a hole, named in the last lines; 2 the input cannot be used.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.audit.findings import Findings, Probe
from apex_trader.runtime.audit.pipeline import Pipeline, audited, restrict, spread
from apex_trader.runtime.audit.run import Audit
from apex_trader.runtime.audit.table import render
from apex_trader.runtime.command import HOLE, OK, run_command
from apex_trader.runtime.compose import compose_config, load_config
from apex_trader.runtime.config import Config, check_blocks
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.load_agent import load_agent
from apex_trader.runtime.market_data import MarketData, prepare_store
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.session import Session

#: Columns of text where there is no terminal to ask.
_PLAIN_WIDTH = 160
_MINIMAL = (
    "The extractor was fitted for a few steps only and the weights are untrained: connections are "
    "what they would be in a run, effects are not."
)


@dataclass
class Request:
    """What the command line asks for."""

    overrides: list[str] = field(default_factory=list)
    run: str = ""
    json: str = ""
    days: int = 8
    probe_days: int = 2

    @property
    def changes(self) -> list[str]:
        """Settings that differ from a run's own; the experiment it was made from is no change."""
        own = ("+experiment=", "experiment=", "hydra")
        return [text for text in self.overrides if not text.startswith(own)]

    @property
    def experiment(self) -> list[str]:
        """The experiment that was named, as an override; empty when none was."""
        return [text for text in self.overrides if text.startswith("+experiment=")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if any(word in ("-h", "--help") for word in given):
        print(__doc__)
        return OK
    return run_command(lambda: _run(parse(given)), given)


def parse(arguments: Sequence[str]) -> Request:
    """The request of a command line. ApexError for an option that there is none of."""
    request, words = Request(), iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--json":
            request.json = value if equals else next(words, "")
            if not request.json:
                raise ApexError("--json needs a file to write to: --json FILE")
        elif word.startswith("-"):
            raise ApexError(f"no option {name}: `python -m apex_trader.audit --help` explains")
        elif name in ("run", "json"):
            setattr(request, name, value)
        elif name in ("days", "probe_days"):
            setattr(request, name, _count(name, value))
        else:
            request.overrides.append(word)
    return request


def _count(name: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(name, text, "a whole number of days, 1 or more")
    return int(text)


def _run(request: Request) -> int:
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_PLAIN_WIDTH)
    with tempfile.TemporaryDirectory(prefix="apex-audit-") as scratch:
        findings = audit(request, Path(scratch), console)
    for part in render(findings):
        console.print(part, soft_wrap=isinstance(part, Text))
    _write(request, findings)
    return HOLE if findings.holes else OK


def audit(request: Request, scratch: Path, console: Console) -> Findings:
    """The findings of a request; ``scratch`` is an empty folder for what the audit must write."""
    config, folder = _source(request, scratch)
    if config.agent != "apex":
        raise ConfigError(
            "agent", config.agent, "apex: the audit proves the connections of this project's own "
            "parts, and RLlib's are not among them"
        )  # fmt: skip
    config, lost = _without_lost_potential(config)
    check_blocks(config)
    folder.path.mkdir(parents=True, exist_ok=True)
    prepare_store(config, folder, say=console.print)
    small = audited(config)
    data = MarketData(small, folder)
    days = data.numbers(spread(data.periods.all, request.days))
    agent, origin = _agent(request, folder, data)
    with Session(small, RunFolder(scratch / "session"), data.schema) as session:

        def build() -> Pipeline:
            restrict(data, request.probe_days)
            return Pipeline.build(small, data, session, agent)

        segments = (data.segment(n) for n in days)
        notes = (*data.notes(), *origin)
        found = Audit(small, data, segments, build, notes).run(
            lambda text: session.display.say(f"audit: {text} …")
        )
    return replace(found, probes=(*found.probes, *lost))


def _without_lost_potential(config: Config) -> tuple[Config, tuple[Probe, ...]]:
    """The configuration less a potential of predictions that its state leaves out, and that hole.

    A run refuses such a configuration; an audit is asked what would be missing, and answers.
    """
    weight = config.reward.cnn_potential
    if not weight or config.state.build().has("cnn_predictions"):
        return config, ()
    lost = Probe(
        "potentials", "cnn_predictions → reward.cnn_potential", "–", "hole",
        f"state.without leaves out what the potential ({weight:g}) is made of; a run must have "
        "reward.cnn_potential=0 then",
    )  # fmt: skip
    return replace(config, reward=replace(config.reward, cnn_potential=0.0)), (lost,)


def _agent(
    request: Request, folder: RunFolder, data: MarketData
) -> tuple[Agent | None, tuple[str, ...]]:
    """The run's agent, or none and why. A changed state asks what would be missing then."""
    if not request.run:
        return None, ("No run was given (run=DIR). " + _MINIMAL,)
    if load_config(folder).state.build().fingerprint == data.schema.fingerprint:
        return load_agent(folder, data.schema), ()
    return None, ("The run was trained on another state than the one asked for here. " + _MINIMAL,)


def _source(request: Request, scratch: Path) -> tuple[Config, RunFolder]:
    """The configuration to audit, and the folder that a synthetic market lies in."""
    if not request.run:
        return compose_config(request.overrides), RunFolder(scratch / "run")
    folder = RunFolder.open(request.run)
    config = load_config(folder, request.changes)
    if request.experiment:
        named = compose_config(request.experiment)
        saved = load_config(folder)
        if named.state.schema != saved.state.schema:
            raise ApexError(
                f"{folder.path} is a run of {saved.state.schema}, not of {named.name}: leave "
                f"{request.experiment[0]} out, or name a run of it"
            )
    return config, folder


def _write(request: Request, findings: Findings) -> None:
    if request.run and not request.changes:  # else it is not the run that was audited
        folder = RunFolder(request.run)
        folder.write_json(folder.path / "audit.json", findings.as_dict())
    if request.json:
        path = Path(request.json)
        try:
            RunFolder(path.parent).write_json(path, findings.as_dict())
        except OSError as error:
            raise ApexError(f"{path} cannot be written: {error.strerror}") from None


if __name__ == "__main__":
    sys.exit(main())
