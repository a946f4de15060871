"""From the command line to a typed configuration: Hydra composes, the dataclasses check."""

from __future__ import annotations

import difflib
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # type: ignore[import-untyped]

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.config import Config
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.typed import settings, to_typed

CONF = Path(__file__).resolve().parents[2] / "conf"
#: Settings that may hold any key, so nothing under them is checked here.
FREE = ("market.parameters",)
_SWEEP = frozenset({"-m", "--multirun"})


def register() -> None:
    """Put the dataclasses' defaults into Hydra's ConfigStore, as the base of every run."""
    defaults = OmegaConf.create(plain(Config()))
    for name in FREE:  # any key may be given there; elsewhere Hydra refuses unknown ones
        OmegaConf.set_struct(OmegaConf.select(defaults, name), False)
    ConfigStore.instance().store(name="defaults", node=defaults)
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


def flat(
    values: Mapping[str, Any], leaves: Collection[str] = (), prefix: str = ""
) -> dict[str, Any]:
    """Dotted name → value of nested plain values; mappings named in ``leaves`` stay whole."""
    out: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and f"{prefix}{name}" not in leaves:
            out |= flat(value, leaves, f"{prefix}{name}.")
        else:
            out[f"{prefix}{name}"] = value
    return out


def compose_config(overrides: Sequence[str]) -> Config:
    """The configuration that ``train`` would run with these overrides (no run folder is made).

    A command that Hydra runs itself can ask too. Raises ApexError or ConfigError, in one line, for
    whatever ``train`` would refuse.
    """
    _check_names(overrides)
    register()
    try:
        with _beside_a_job(), initialize_config_dir(str(CONF), version_base=None):
            return typed(compose("config", list(overrides)))
    except HydraException as error:
        raise ApexError(_first_lines(error)) from None


@contextmanager
def _beside_a_job() -> Iterator[None]:
    """Hydra composes once a process: a job that it runs is set aside meanwhile."""
    running, GlobalHydra.instance().hydra = GlobalHydra.instance().hydra, None
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = running  # by now another instance: Hydra restores a copy


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
    _check_names(overrides)
    try:
        base = OmegaConf.load(folder.config)
        merged = OmegaConf.merge(base, OmegaConf.from_dotlist(list(overrides)))
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:
        raise ApexError(f"{folder.config} cannot be read: {_first_lines(error)}") from None
    assert isinstance(merged, DictConfig)
    return typed(merged)


def save_config(folder: RunFolder, config: Config) -> None:
    """Write the resolved configuration into the run's folder."""
    folder.write_text(folder.config, OmegaConf.to_yaml(OmegaConf.create(plain(config))))


def sweep_first(arguments: Sequence[str]) -> list[str]:
    """The arguments with ``-m`` in front: Hydra's parser takes no settings on both sides of it."""
    return sorted(arguments, key=lambda text: text not in _SWEEP)


def check_overrides(arguments: Sequence[str]) -> None:
    """Raise ApexError or ConfigError for a command line that ``train`` would refuse.

    Run before Hydra, which makes a run folder first and explains itself in several lines. Of a
    sweep every value is checked. With options other than ``--multirun``, only names are.
    """
    options = {text for text in arguments if text.startswith("-")}
    overrides = [text for text in arguments if text not in options]
    sweeps = bool(options & _SWEEP)
    if options - _SWEEP:  # --help, --cfg job: these run nothing
        _check_names([text for text in overrides if "=" in text])
        return
    _check_names(overrides)
    for point in _points(overrides, sweeps):
        run = next((text for text in point if text.startswith("resume=")), "resume=")
        folder = run.removeprefix("resume=")
        if folder:  # its own configuration is the base of the changes
            load_config(RunFolder.open(folder), [text for text in point if text[0] != "+"])
        else:
            compose_config(point)


def _points(overrides: Sequence[str], sweeps: bool) -> list[list[str]]:
    """What would run, one swept setting changed at a time; ApexError for a sweep without -m."""
    fixed: list[str] = []
    swept: list[list[str]] = []
    seen: set[str] = set()
    for text in overrides:
        override = _parsed(text)
        if override.key_or_group.startswith("hydra"):
            continue
        if sweeps and override.key_or_group in seen:  # Hydra's sweeper keeps the last alone
            raise ApexError(
                f"{override.key_or_group} is set twice: in a sweep write it once, or the settings "
                "inside it one by one"
            )
        seen.add(override.key_or_group)
        if not override.is_sweep_override():
            fixed.append(text)
        elif sweeps:
            key = override.get_key_element()
            swept.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        else:
            raise ApexError(
                f"{text!r} names several values: add -m to run them one after another, or write "
                "a list as name=[first,second]"
            )
    first = [values[0] for values in swept]
    points = [[*fixed, *first]]
    for i, values in enumerate(swept):
        points += [[*fixed, *first[:i], value, *first[i + 1 :]] for value in values[1:]]
    return points


def _check_names(overrides: Sequence[str]) -> None:
    """Raise for a setting or a choice that does not exist, with the closest one that does."""
    for text in overrides:
        override = _parsed(text)
        key = override.key_or_group.partition("@")[0]
        if override.is_delete() or key.startswith("hydra"):
            continue
        if key in _groups():
            _check_choice(text, key, override)
        else:
            _check_setting(key, override.value())


def _check_setting(key: str, value: Any) -> None:
    known = list(settings(Config))
    if key in known or any(key.startswith(f"{free}.") for free in FREE):
        return
    inside = [name for name in known if name.startswith(f"{key}.")]
    if inside and isinstance(value, Mapping):
        for name, inner in value.items():
            _check_setting(f"{key}.{name}", inner)
        return
    if inside:
        raise ConfigError(key, value, f"a group of settings: {', '.join(inside)}")
    close = difflib.get_close_matches(key, [*known, *_groups()], n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "--cfg job prints them all"
    raise ConfigError(key, value, f"no such setting; {hint}")


def _groups() -> list[str]:
    """Folders of conf/, of whose files one is chosen as a whole."""
    return sorted(p.name for p in CONF.iterdir() if p.is_dir() and any(p.glob("*.yaml")))


def _parsed(text: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException:
        override = None
    if override is None or not override.key_or_group:
        raise ApexError(
            f"{text!r} is not understood: settings are written as name=value, for example "
            "seed=1 or learner.batch_size=256; whole experiments as +experiment=quickstart"
        )
    return override


def _check_choice(text: str, group: str, override: Override) -> None:
    options = sorted(p.stem for p in (CONF / group).glob("*.yaml"))
    choices = [str(override.value())]
    if override.is_sweep_override():
        choices = [str(value) for value in override.sweep_string_iterator()]
    for choice in choices:
        if choice not in options:
            close = difflib.get_close_matches(choice, options, n=1)
            hint = f"did you mean {close[0]}? " if close else ""
            raise ConfigError(group, choice, f"{hint}there are: {', '.join(options)}")
    if not override.is_add():
        raise ApexError(f"{text!r} needs a plus, since nothing is chosen yet: +{text}")


def _first_lines(error: BaseException) -> str:
    lines = [line.strip().rstrip(".") for line in str(error).splitlines() if line.strip()]
    return "; ".join(line for line in lines[:3] if "object_type" not in line)
