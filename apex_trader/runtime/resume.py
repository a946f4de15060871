"""How a run is resumed, and which of its settings may change then."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from apex_trader.errors import ConfigError
from apex_trader.runtime.compose import flat, plain
from apex_trader.runtime.config import Config
from apex_trader.runtime.overrides import changes
from apex_trader.runtime.run_folder import RunFolder

#: Settings, or groups of them, that what was saved depends on. Other days would judge the agent on
#: days that it was trained on; another state or network cannot take the saved weights; the
#: replay's transitions hold accounts, rewards and discounts, its masses are priorities to the α.
FIXED = (
    "seed", "agent", "periods", "walk_forward", "market.primary", "market.reference", "state",
    "execution", "trading", "reward", "network", "cnn", "replay.capacity", "replay.shards",
    "replay.alpha", "replay.priority_epsilon", "rollout.outcomes", "rollout.n_step",
    "rollout.gamma", "rllib.network", "rllib.hidden", "rllib.activation",
)  # fmt: skip
#: The rewards among them that are never stored: they are added when a batch is gathered.
GATHERED = ("reward.pivot_potential", "reward.cnn_potential")
#: In one process, on recorded days, the lanes are saved where they stand, and go on from there.
STANDING = ("rollout.lanes", "rollout.branches")


#: A path that Hydra's grammar takes as it is.
_PLAIN = re.compile(r"[A-Za-z0-9_./:@+-]+")


def check_resumable(saved: Config, wanted: Config) -> None:
    """Raise ConfigError for the first setting that must be the saved run's own and is not."""
    fixed = (*FIXED, *STANDING) if _lanes_go_on(saved) and _lanes_go_on(wanted) else FIXED
    before, now = flat(plain(saved)), flat(plain(wanted))
    for name, value in now.items():
        held = any(f"{name}.".startswith(f"{f}.") for f in fixed) and name not in GATHERED
        if held and before.get(name) != value:
            raise ConfigError(
                name, value, f"{before.get(name)!r}, which the run was started with: start a new "
                "run for another value"
            )  # fmt: skip


def check_budget(config: Config, done: int) -> None:
    """Raise ConfigError when a run that did ``done`` updates is asked for fewer."""
    if config.train.updates < done:
        raise ConfigError(
            "train.updates", config.train.updates, f"at least {done}, which the run has done: to "
            "judge an earlier checkpoint, use backtest with checkpoint=NAME"
        )  # fmt: skip


def record_changes(folder: RunFolder, updates: int, before: Config, now: Config) -> None:
    """Keep in the run's folder what was changed when it was resumed at an update."""
    made = changes(before, now)
    known = recorded_changes(folder)
    kept = [entry for entry in known if entry[0] <= updates]  # what was cut off did not happen
    if made:
        kept.append((updates, made))
    if kept != known:
        folder.write_json(folder.resumed, {"resumed": kept})


def recorded_changes(folder: RunFolder) -> list[tuple[int, list[str]]]:
    """(updates, changed settings) of each time that a run was resumed with other settings."""
    if not folder.resumed.is_file():
        return []
    return [(at, made) for at, made in folder.read_json(folder.resumed)["resumed"]]


def _lanes_go_on(config: Config) -> bool:
    return config.runtime == "serial" and config.rollout.source == "replay"


def resume_command(folder: Path) -> str:
    """What to type, in any folder, to go on with the run in ``folder``."""
    path = str(folder.absolute())
    if not _PLAIN.fullmatch(path):  # quoted for Hydra, then for the shell
        # Hydra takes a backslash as it is, but before a quote.
        path = "'" + re.sub(r"(\\*)('|$)", r"\1\1\2", path).replace("'", r"\'") + "'"
    return f"python -m apex_trader.train {shlex.quote(f'resume={path}')}"
