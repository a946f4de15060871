"""A trained agent out of a run's folder."""

from __future__ import annotations

from typing import Any

from apex_trader.errors import ApexError, ConfigError, MismatchError
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.compose import load_config, plain
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.parts import order_costs
from apex_trader.runtime.periods import PERIODS
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.schema import Schema
from learner.checkpoint import Checkpoint, CheckpointManager


def load_agent(folder: RunFolder, schema: Schema, which: str = "best") -> Agent:
    """The agent of a checkpoint: "best" on validation, "latest", or its name.

    Raises ApexError when there is none, MismatchError when it was trained on another schema.
    """
    checkpoint = choose_checkpoint(folder, which)
    made = checkpoint.identity.get("schema", "")
    if made != schema.fingerprint:
        raise MismatchError(
            f"{folder.path}, {checkpoint.name} was trained on another state (schema {made[:12]}) "
            f"than {schema.name} is here ({schema.fingerprint[:12]}): with other settings, or with "
            "a version of apex-trader whose features were others. Use those, or train again"
        )
    run, saved = checkpoint.json("run.json"), load_config(folder)
    return Agent(
        checkpoint.state("learner.pt")["average"],
        load_extractor(folder, schema, run["extractor"]),
        int(run["updates"]),
        checkpoint.name,
        {part: run.get("periods", {}).get(part, ()) for part in PERIODS},
        order_costs(saved, saved.trading),
    )


def choose_checkpoint(folder: RunFolder, which: str = "best") -> Checkpoint:
    """ "best" on validation (the latest where none was marked), "latest", or a name."""
    manager = CheckpointManager(str(folder.checkpoints))
    if which not in ("best", "latest"):
        return manager.load(which)
    best = manager.best() if which == "best" else None
    found = manager.load(best.name) if best is not None else manager.latest()
    if found is None:
        raise ApexError(f"{folder.path} holds no complete checkpoint: the run ended before one")
    return found


def check_agent(saved: Config, wanted: Config) -> None:
    """Raise ConfigError for a setting that a run's agent was trained with and cannot do without."""
    before, now = _trained_with(saved), _trained_with(wanted)
    for name, value in now.items():
        if before[name] != value:
            raise ConfigError(
                name, value, f"the agent was trained with {before[name]!r}; train another for this"
            )


def _trained_with(config: Config) -> dict[str, Any]:
    values = plain(config)
    out = {f"{group}.{k}": v for group in ("state", "network") for k, v in values[group].items()}
    out |= {f"rllib.{k}": values["rllib"][k] for k in ("network", "hidden", "activation")}
    return out | {
        "agent": values["agent"], "trading.action_set": values["trading"]["action_set"],
        "reward.scale": values["reward"]["scale"],  # the unit of its values
    }  # fmt: skip


def load_extractor(
    folder: RunFolder, schema: Schema, version: str | None
) -> FrozenExtractor | None:
    """One of the run's extractors; None for None. ApexError when its file is missing."""
    if version is None:
        return None
    path = folder.extractors / f"{version}.pt"
    if not path.is_file():
        raise ApexError(f"{path} is missing: the run's extractor cannot be loaded")
    return FrozenExtractor.load(path, schema)
