"""The report's charts and tables as panels of a W&B run."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from apex_trader.evaluation.report.section import Section, charts, tables
from apex_trader.runtime.wandb_views import CHARTS, TABLES


def panels(sections: Sequence[Section]) -> dict[str, Any]:
    """Name → W&B's own object, for every chart and table of a report."""
    import wandb

    found: dict[str, Any] = {
        f"{CHARTS}/{chart.key}": wandb.Plotly(spelled_out(chart.figure))
        for chart in charts(sections)
    }
    for table in tables(sections):
        head = [name or "figure" for name in table.head]
        found[f"{TABLES}/{table.key}"] = wandb.Table(head, [list(row) for row in table.rows])
    return found


def spelled_out(figure: go.Figure) -> go.Figure:
    """The same figure with its numbers as lists: what draws it elsewhere may be older than the way
    in which Plotly packs arrays."""
    return go.Figure(_unpacked(figure.to_plotly_json()))


def _unpacked(value: Any) -> Any:
    if isinstance(value, dict):
        if {"bdata", "dtype"} <= set(value):
            return _array(value).tolist()
        return {name: _unpacked(inner) for name, inner in value.items()}
    if isinstance(value, np.ndarray):
        return value.tolist()
    return [_unpacked(inner) for inner in value] if isinstance(value, (list, tuple)) else value


def _array(packed: dict[str, Any]) -> np.ndarray:
    """A packed array; its shape is text such as "7, 24"."""
    values = np.frombuffer(base64.b64decode(packed["bdata"]), packed["dtype"])
    shape = packed.get("shape")
    return values.reshape([int(size) for size in str(shape).split(",")]) if shape else values
