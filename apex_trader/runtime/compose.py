"""From the command line to a typed configuration: Hydra composes, the dataclasses check."""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.config import Config
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.typed import to_typed

CONF = Path(__file__).resolve().parents[2] / "conf"
#: Groups of conf/ that are chosen as a whole, besides the parts of ``Config``.
EXTRA_GROUPS = ("experiment",)
#: Folder of values that may hold any key, so nothing under it is checked here.
FREE = ("market.parameters",)


def register() -> None:
    """Put the dataclasses' defaults into Hydra's ConfigStore, as the base of every run."""
    ConfigStore.instance().store(name="defaults", node=OmegaConf.create(plain(Config())))
    OmegaConf.register_new_resolver("run_dir", run_dir, replace=True)


def run_dir(resume: str | None, name: str) -> str:
    """Folder of a run: the one to resume, or a new one named after experiment and time."""
    if resume:
        return resume
    return str(Path("runs") / name / time.strftime("%Y-%m-%d_%H-%M-%S"))


def plain(config: Any) -> dict[str, Any]:
    """A configuration as nested plain values, the way it is written to YAML."""

    def simple(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {k: simple(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [simple(v) for v in value]
        return value

    return {k: simple(v) for k, v in asdict(config).items()}


def compose_config(overrides: Sequence[str]) -> Config:
    """The configuration that ``train`` would run with these overrides (no run folder is made)."""
    check_overrides(overrides)
    register()
    try:
        with initialize_config_dir(str(CONF), version_base=None):
            return typed(compose("config", list(overrides)))
    except HydraException as error:
        raise ApexError(_first_lines(error)) from None


def typed(config: DictConfig) -> Config:
    """The typed form of what Hydra composed. Raises ConfigError."""
    try:
        values = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ApexError(f"the configuration cannot be resolved: {_first_lines(error)}") from None
    assert isinstance(values, dict)
    return to_typed(Config, {str(k): v for k, v in values.items() if k != "hydra"})


def load_config(folder: RunFolder, overrides: Sequence[str] = ()) -> Config:
    """A run's configuration, with changes such as ``trading.fee=0.0005`` on top.

    Raises ApexError when the file is unreadable, ConfigError on a bad override.
    """
    check_overrides(overrides)
    try:
        base = OmegaConf.load(folder.config)
        merged = OmegaConf.merge(base, OmegaConf.from_dotlist(list(overrides)))
    except (OmegaConfBaseException, OSError, ValueError) as error:
        raise ApexError(f"{folder.config} cannot be read: {_first_lines(error)}") from None
    assert isinstance(merged, DictConfig)
    return typed(merged)


def save_config(folder: RunFolder, config: Config) -> None:
    """Write the resolved configuration into the run's folder."""
    folder.write_text(folder.config, OmegaConf.to_yaml(OmegaConf.create(plain(config))))


def check_overrides(overrides: Sequence[str]) -> None:
    """Raise ConfigError for a setting that does not exist, with the closest one that does."""
    known = _settings(Config)
    groups = {p.name for p in CONF.iterdir() if p.is_dir()} | {f.name for f in fields(Config)}
    for text in overrides:
        if text.startswith("-"):
            continue
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException:
            raise ApexError(
                f"{text!r} is not understood: settings are written as name=value, for example "
                "seed=1 or learner.batch_size=256; whole experiments as +experiment=quickstart"
            ) from None
        key = override.key_or_group.partition("@")[0]
        if key.startswith("hydra") or any(key.startswith(f) for f in FREE):
            continue
        if key in groups:
            _check_choice(key, str(override.value()))
        elif key not in known:
            close = difflib.get_close_matches(key, [*known, *groups], n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else "see --help"
            raise ConfigError(key, override.value(), f"no such setting; {hint}")


def _check_choice(group: str, choice: str) -> None:
    options = sorted(p.stem for p in (CONF / group).glob("*.yaml"))
    if options and choice not in options:
        close = difflib.get_close_matches(choice, options, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        raise ConfigError(group, choice, f"{hint}there are: {', '.join(options)}")


def _settings(kind: type, path: str = "") -> list[str]:
    """Dotted names of every leaf of a tree of dataclasses."""
    names = []
    for field, value in asdict_types(kind):
        name = f"{path}{field}"
        names += _settings(value, f"{name}.") if value is not None else [name]
    return names


def asdict_types(kind: type) -> list[tuple[str, type | None]]:
    """(field, its dataclass or None) of a dataclass whose parts have defaults."""
    default = kind()
    values = [(f.name, getattr(default, f.name)) for f in fields(default)]
    return [(name, type(v) if is_dataclass(v) else None) for name, v in values]


def _first_lines(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(line for line in lines[:3] if "object_type" not in line)
