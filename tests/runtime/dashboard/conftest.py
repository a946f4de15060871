"""A paper run over midnight on the random market, in a folder as ``trade`` leaves it."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from apex_trader.execution.journal import Journal, read_journal
from apex_trader.execution.trade_journal import DECISIONS, ORDERS, rows_schema
from apex_trader.runtime.compose import compose_config, save_config
from apex_trader.runtime.dashboard.view import TradeView
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trade_session import TradeFolder
from apex_trader.time import MINUTE
from tests.runtime.test_trader import BEGIN, OPEN, Paper
from tests.state.test_live import schema_of

#: Settings of ``Paper``.
SETTINGS = [
    "+experiment=eth_full", "state={window: 16, without: [cnn_hidden, cnn_predictions]}",
    "reward.cnn_potential=0", "trading={lot_size: 0.001, tick_size: 0.01, min_notional: 5.0}",
    "trading.slippage_bps=0.5", "confidence.gate=0",
    *(f"risk.{name}={getattr(OPEN, name)}" for name in (
        "orders_per_minute", "daily_loss", "drawdown", "max_clipped", "max_order", "max_position",
    )),
]  # fmt: skip


def begin_run(run: Path, name: str = "first", gate: float = 0.0) -> TradeFolder:
    """The folder of a trading run in which nothing has been decided yet."""
    folder = TradeFolder(run / "trades" / name)
    folder.path.mkdir(parents=True)
    config = compose_config(SETTINGS)
    if not (run / "config.yaml").exists():
        save_config(RunFolder(run), config)
    save_config(RunFolder(folder.path), config)
    about = {"run": str(run), "checkpoint": "step-000040", "mode": "paper", "gate": gate}
    folder.about.write_text(json.dumps(about))
    return folder


@pytest.fixture(scope="session")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Paper:
    """Thirty minutes that end ten after midnight; the journal is left as a killed run leaves it."""
    folder = begin_run(tmp_path_factory.mktemp("dashboard") / "run")
    made = Paper(folder.journal).run(end=BEGIN + 30 * MINUTE)
    made.journal.commit()
    return made


@pytest.fixture
def folder(paper: Paper, tmp_path: Path) -> TradeFolder:
    """That run, in a folder that a test may change."""
    begun = begin_run(tmp_path / "run")
    shutil.copytree(paper.folder, begun.journal)
    return begun


@pytest.fixture(scope="session")
def view(paper: Paper) -> TradeView:
    """That run, read at once."""
    seen = TradeView(TradeFolder(paper.folder.parent))
    assert seen.update()
    return seen


@dataclass
class Replay:
    """Writes what a run wrote down into another journal, as slowly as a test wants."""

    folder: Path
    source: Path
    rows: int = 60

    def __post_init__(self) -> None:
        rows = rows_schema(schema_of("eth_full"))
        schemas = {"decisions": DECISIONS, "orders": ORDERS, "rows": rows}
        self._journal = Journal(self.folder, schemas, self.rows)
        tables = {name: read_journal(self.source, name) for name in schemas}
        self.left = {name: _records(table) for name, table in tables.items() if table is not None}

    def write(self, table: str, count: int) -> int:
        """The next records of a table; how many are left."""
        left = self.left[table]
        for record in left[:count]:
            self._journal.append(table, {k: v for k, v in record.items() if k != "n"})
        del left[:count]
        self._journal.commit()
        return len(left)

    def decide(self, count: int = 1) -> None:
        """The next decisions, with the rows and the outcomes of orders that came with them."""
        for _ in range(min(count, len(self.left["decisions"]))):
            ts = self.left["decisions"][0]["ts"]
            self.write("decisions", 1)
            self.write("orders", sum(o["decided"] < ts for o in self.left["orders"]))
            self.write("rows", 1)

    def close(self) -> None:
        self._journal.close()


def _records(table: pa.Table) -> list[dict[str, Any]]:
    return table.to_pylist()
