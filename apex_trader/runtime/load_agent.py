"""A trained agent out of a run's folder."""

from __future__ import annotations

from apex_trader.errors import ApexError
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.runtime.judge import Agent
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.state.schema import Schema
from learner.checkpoint import Checkpoint, CheckpointManager


def load_agent(folder: RunFolder, schema: Schema, which: str = "best") -> Agent:
    """The agent of a checkpoint: "best" on validation, "latest", or its name.

    Raises ApexError when there is none, MismatchError when it was trained on another schema.
    """
    checkpoint = choose_checkpoint(folder, which)
    checkpoint.require({"schema": schema.fingerprint})
    run = checkpoint.json("run.json")
    return Agent(
        checkpoint.state("learner.pt")["network"],
        load_extractor(folder, schema, run["extractor"]),
        int(run["updates"]),
        checkpoint.name,
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
