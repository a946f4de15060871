"""The validation figures of an extractor, beside those of the baselines on the same rows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from apex_trader.models.baselines import LogisticBaseline, best_rate, last_sign, majority
from apex_trader.models.config import PretrainConfig
from apex_trader.models.extractor import CNNExtractor, ExtractorOutput
from apex_trader.models.labels import Labels
from apex_trader.models.scores import direction_scores
from apex_trader.state.gather import MarketTables, gather

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
Bool = NDArray[np.bool_]

_BASELINE_BATCH = 256


def horizon_name(micros: int) -> str:
    """A horizon in the largest unit that divides it: ``30s``, ``5m``, ``4h``."""
    seconds = micros // 1_000_000
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def judge(
    output: ExtractorOutput,
    labels: Labels,
    tables: MarketTables,
    network: CNNExtractor,
    valid: tuple[Bool, Bool, Bool],
    rows: I64,
    config: PretrainConfig,
    seed: int,
) -> dict[str, float]:
    """Figures ``pretrain/<horizon>/<score>`` and ``pretrain/<horizon>/<baseline>/<score>``.

    Per horizon also: ``rows`` judged; ``independent_rows``, how many horizons fit into them end to
    end (labels overlap, so the figures are no surer than so many draws); and for magnitude and
    volatility the share of the variance that is explained.

    Args:
        output: the network's output on ``rows``.
        labels, tables: of the slice. network: names the input's blocks.
        valid: labels to fit on, to validate on, pivots to validate on.
        rows: [m] validation rows.
        config: ``baseline_rows``. seed: of the logistic regression.
    """
    fit_valid, validation_valid, pivot_valid = valid
    figures: dict[str, float] = {}
    probabilities = output.logits.double().softmax(2).cpu().numpy()
    logistic = _logistic(labels, tables, network, fit_valid, rows, config, seed)
    for h, horizon in enumerate(tables.schema.horizons):
        keep = validation_valid[rows, h]
        at, fit = rows[keep], np.flatnonzero(fit_valid[:, h])
        classes = labels.direction[at, h].astype(np.int64)
        move = labels.move[at, h].astype(np.float64)
        past = labels.past[:, h].astype(np.int64)
        fit_classes = labels.direction[fit, h].astype(np.int64)
        scores = {
            "": direction_scores(probabilities[keep, h], classes, move),
            "majority/": majority(fit_classes, classes, move),
            "last_sign/": last_sign(past[fit], fit_classes, past[at], classes, move),
        }
        if logistic is not None:
            scores["logistic/"] = best_rate(logistic[:, keep, h], classes, move)
        place = f"pretrain/{horizon_name(horizon)}/"
        for who, values in scores.items():
            figures |= {f"{place}{who}{name}": value for name, value in values.items()}
        figures |= {
            f"{place}rows": float(keep.sum()),
            f"{place}independent_rows": float(
                validation_valid[:, h].sum() * tables.schema.decision_interval / horizon
            ),
            f"{place}magnitude_r2": _explained(output.magnitude[:, h], labels.magnitude[rows, h],
                                               keep),
            f"{place}volatility_r2": _explained(output.volatility[:, h],
                                                labels.volatility[rows, h], keep),
        }  # fmt: skip
    return figures | _pivot_figures(output, labels, rows, pivot_valid[rows])


def _explained(predicted: torch.Tensor, actual: F32, keep: Bool) -> float:
    """1 - squared error / variance on the rows kept; 0 where the label does not vary."""
    truth = actual[keep].astype(np.float64)
    error = truth - predicted.double().cpu().numpy()[keep]
    variance = float(truth.var())
    return 1.0 - float((error * error).mean()) / variance if variance > 1e-12 else 0.0


def _pivot_figures(
    output: ExtractorOutput, labels: Labels, rows: I64, keep: Bool
) -> dict[str, float]:
    """Log loss of the swing head, and that of always saying the share that was confirmed."""
    if not keep.any():
        return {}
    truth = labels.pivot[rows][keep].astype(np.float64)
    p = np.clip(output.pivot.double().sigmoid().cpu().numpy()[keep], 1e-6, 1 - 1e-6)
    share = np.clip(truth.mean(), 1e-6, 1 - 1e-6)
    return {
        "pretrain/pivot/accuracy": float(((p > 0.5) == (truth > 0.5)).mean()),
        "pretrain/pivot/log_loss": float(-(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean()),
        "pretrain/pivot/base_rate_log_loss": float(
            -(share * np.log(share) + (1 - share) * np.log(1 - share))
        ),
    }


def _logistic(
    labels: Labels,
    tables: MarketTables,
    network: CNNExtractor,
    fit_valid: Bool,
    rows: I64,
    config: PretrainConfig,
    seed: int,
) -> NDArray[np.float64] | None:
    """Probabilities [rates, m, horizons, 3] of the logistic regression, None without one."""
    if not config.baseline_rows:
        return None

    def inputs(at: I64, mirrored: Bool) -> F32:
        index = torch.from_numpy(at).to(tables.device)
        mirror = torch.from_numpy(mirrored).to(tables.device)
        windows = gather(tables, index, mirror, blocks=network.block_names)
        return np.asarray(windows.cpu().numpy(), np.float32)

    able = np.flatnonzero(fit_valid.any(1))
    chosen = np.random.default_rng(seed).permutation(able)[: config.baseline_rows]
    baseline = LogisticBaseline(len(tables.schema.horizons), seed)
    baseline.fit(inputs, chosen, labels.direction[chosen], fit_valid[chosen], _BASELINE_BATCH)
    return baseline.probabilities(inputs, rows, _BASELINE_BATCH)
