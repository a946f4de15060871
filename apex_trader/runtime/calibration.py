"""A run's confidence: calibrated on days that chose nothing, kept beside the checkpoint.

``confidence/<checkpoint>.json`` in the run's folder belongs to one checkpoint, extractor and
schema, which it names; under any other it is an error. Under other costs, fills or horizon than it
was calibrated with it is not used: confidence is calibrated anew, where its days are there.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from torch import Tensor

from actors.evaluation import EncodedPolicy
from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import path_of
from apex_trader.evaluation.confidence.confidence import (
    Belongs,
    Calibrated,
    Uncalibrated,
    calibrate,
)
from apex_trader.evaluation.confidence.orders import collect_orders
from apex_trader.runtime.confidence import conditions, order_features, random_of
from apex_trader.runtime.config import Config
from apex_trader.runtime.judge import Agent, cores, network_of
from apex_trader.runtime.judged_market import read_market
from apex_trader.runtime.market_data import MarketData
from apex_trader.runtime.periods import days_text
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.trading.config import TradingConfig

#: Days of the run that calibrate nothing: something was fitted or chosen on them, or is judged.
_USED = ("extractor", "agent", "validation", "test")


def confidence_of(
    config: Config, data: MarketData, agent: Agent, trading: TradingConfig, folder: RunFolder
) -> Calibrated | Uncalibrated:
    """The run's saved confidence of the agent, else calibrated now; nothing is written.

    MismatchError when the saved one belongs to another agent, ApexError when it cannot be read.
    """
    saved = load_confidence(folder, data, agent)
    if saved is not None and saved.confidence.conditions == conditions(config, trading):
        return saved
    made = calibrate_agent(config, data, agent, trading)
    if saved is not None and isinstance(made, Uncalibrated):
        return Uncalibrated(f"{made.reason}; the run's own was calibrated under other settings")
    return made


def calibrate_agent(
    config: Config, data: MarketData, agent: Agent, trading: TradingConfig
) -> Calibrated | Uncalibrated:
    """Calibrate on the run's calibration days, which must have served nothing else."""
    days = data.periods.calibration
    if reason := unfit_days(days, agent):
        return Uncalibrated(f"confidence is not calibrated: {reason}")
    network = network_of(config, data, agent)
    with ThreadPoolExecutor(cores()) as pool:
        numbers = data.numbers(days)
        segments, market = read_market(data, agent.extractor, network, numbers, pool)
    with market:
        if not any(bool((s.outcomes.next_row >= 0).any()) for s in segments):
            return Uncalibrated(
                f"confidence is not calibrated: nothing can be decided on {days_text(days)}"
            )
        policy, features = EncodedPolicy(network, market), order_features(config, trading)
        orders = collect_orders(path_of(segments), policy, features, config.reward)
    return calibrate(
        orders, config.confidence, belongs(data, agent), conditions(config, trading),
        random_of(config),
    )  # fmt: skip


def unfit_days(days: tuple[int, ...], agent: Agent) -> str:
    """Why an agent cannot be calibrated on these days; empty when it can."""
    if not days:
        return "no validation day was kept for it (periods.calibration, periods.validation)"
    for part in _USED:
        shared = sorted(set(days) & set(agent.days.get(part, ())))
        if shared:
            return f"the run used {days_text(shared)} as {part} days"
    return ""


def belongs(data: MarketData, agent: Agent) -> Belongs:
    """What a calibration of the agent belongs to."""
    version = agent.extractor.version if agent.extractor is not None else None
    return Belongs(
        agent.checkpoint, weights_digest(agent.weights), version, data.schema.fingerprint
    )


def confidence_file(folder: RunFolder, checkpoint: str) -> Path:
    """Where a checkpoint's confidence lies."""
    return folder.path / "confidence" / f"{checkpoint}.json"


def save_confidence(folder: RunFolder, calibrated: Calibrated) -> None:
    """Keep a confidence beside its checkpoint: numbers and names, no code."""
    path = confidence_file(folder, calibrated.confidence.belongs.checkpoint)
    path.parent.mkdir(exist_ok=True)
    folder.write_json(path, calibrated.to_plain())


def load_confidence(folder: RunFolder, data: MarketData, agent: Agent) -> Calibrated | None:
    """The confidence saved for the agent's checkpoint; None when there is none.

    MismatchError when it was made for other weights, another extractor or schema; ApexError when
    the file cannot be read.
    """
    path = confidence_file(folder, agent.checkpoint)
    if not path.is_file():
        return None
    try:
        values = folder.read_json(path)
    except (OSError, json.JSONDecodeError) as error:
        raise ApexError(
            f"{path} cannot be read ({error}): remove it, and the next backtest calibrates anew"
        ) from None
    saved = Calibrated.from_plain(values, str(path))
    saved.confidence.require(belongs(data, agent), str(path))
    return saved


def weights_digest(weights: Mapping[str, Tensor]) -> str:
    """Hex digest of a network's weights, by name, type, shape and content."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(weights):
        value = np.ascontiguousarray(weights[name].detach().cpu().numpy())
        digest.update(f"{name}:{value.dtype}:{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
