"""What is known of the training of the agent that trades."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from apex_trader.evaluation.report import show_figure
from apex_trader.runtime.report import training_curves
from apex_trader.runtime.run_folder import RunFolder

#: Figures of the backtest that a summary names, and their formats.
_FIGURES = (
    ("net return", "net_return", "{:+.2%}"), ("max drawdown", "max_drawdown", "{:.2%}"),
    ("Sharpe (365 d)", "sharpe", "{:.2f}"), ("orders a day", "trades_per_day", "{:,.0f}"),
)  # fmt: skip


@dataclass(frozen=True)
class Training:
    """facts: in a few words. figures: policy → figure → text, the agent first. curves: as the
    report draws them. audit: the findings of ``audit.json``, or None. notes: what is not known."""

    facts: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    curves: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    audit: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()


def training_of(folder: RunFolder, checkpoint: str) -> Training:
    """Of a run's folder, as far as it is there; checkpoint: that trades."""
    if not folder.config.is_file():
        return Training(notes=(f"{folder.path} is not there any more: nothing is known of it.",))
    result, notes = _json(folder, "result.json"), []
    if result is None:
        notes.append("The run has no result.json: it has not finished, or was cut off.")
    audit = _json(folder, "audit.json")
    readings = folder.readings() if folder.metrics.is_file() else []
    facts = {"run": str(folder.path), "checkpoint": checkpoint}
    return Training(
        facts | _facts(result or {}) | _validation(readings, checkpoint),
        _figures(result or {}), training_curves(folder), audit, tuple(notes),
    )  # fmt: skip


def _facts(result: Mapping[str, Any]) -> dict[str, str]:
    agent, periods, schema = (result.get(name, {}) for name in ("agent", "periods", "schema"))
    score = result.get("evaluation", {}).get("scores", {}).get("filter optimum", {}).get("value")
    confidence = result.get("confidence", {})
    found = {
        "experiment": f"{result['experiment']}, seed {result['seed']}" if result else "",
        "market": f"{result.get('market', '')}{' (SYNTHETIC)' * bool(result.get('synthetic'))}",
        "updates": f"{agent['updates']:,}" if "updates" in agent else "",
        "state": f"{schema['name']}, {schema['market_size']:,} market features" if schema else "",
        "extractor": str(agent.get("extractor") or "")[:12],
        "trained on": str(periods.get("agent", "")),
        "validated on": str(periods.get("validation", "")),
        "tested on": str(periods.get("test", "")),
        "score": f"{score:.2f} of the filter optimum's profit" if isinstance(score, float) else "",
        "confidence": "" if not confidence else
        "calibrated" if confidence.get("calibrated", True) else confidence.get("reason", ""),
    }  # fmt: skip
    return {name: text for name, text in found.items() if text}


def _validation(readings: list[dict[str, Any]], checkpoint: str) -> dict[str, str]:
    """Net return on validation of the checkpoint that trades, and the best of the run."""
    known = {
        int(r["eval/updates"]): r["eval/net_return"]
        for r in readings if r["group"] == "eval" and r.get("eval/net_return") is not None
    }  # fmt: skip
    if not known:
        return {}
    step = checkpoint.rpartition("-")[2]
    own = known.get(int(step)) if step.isdecimal() else None
    text = f"net return {own:+.2%}" if own is not None else "not judged at this checkpoint"
    return {"validation": f"{text}; best of {len(known)} evaluations {max(known.values()):+.2%}"}


def _figures(result: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    return {
        policy: {label: show_figure(known.get(key), form) for label, key, form in _FIGURES}
        for policy, known in result.get("backtest", {}).items()
    }


def _json(folder: RunFolder, name: str) -> Any:
    """A file of the folder; None where there is none, or none that can be read."""
    try:
        return folder.read_json(folder.path / name)
    except (OSError, json.JSONDecodeError, UnicodeDecodeError):
        return None
