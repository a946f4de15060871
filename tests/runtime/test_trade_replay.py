"""A journal alone gives every decision again; what was changed in it is found by name."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from apex_trader.errors import ApexError, MismatchError
from apex_trader.runtime.trade_replay import TradeReplay, journal_folder
from apex_trader.runtime.trade_session import TradeFolder
from tests.runtime.test_trade_session import session_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def traded(small_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An hour of paper trading over midnight, interrupted once."""
    out, flat = tmp_path_factory.mktemp("replayed") / "out", "trade.flatten=false"
    words = (flat, "risk.orders_per_minute=1", "risk.max_order=1.2")
    session_of(small_run, out, *words, hours=(-0.3, 0.2)).run()
    session_of(small_run, out, *words, hours=(0.2, 0.7)).run()
    return out


def changed(
    folder: Path, to: Path, table: str, column: str, change: Callable[[list], list]
) -> TradeFolder:
    """A copy of a trading run with another column in one of its journal's files."""
    copy = Path(shutil.copytree(folder, to))
    path = sorted((copy / "journal").glob(f"{table}-*.parquet"))[0]
    whole = pq.read_table(path)
    at = whole.schema.get_field_index(column)
    values = pa.array(change(whole[column].to_pylist()), whole.schema.field(at).type)
    pq.write_table(whole.set_column(at, whole.schema.field(at), values), path)
    return TradeFolder(copy)


def test_every_decision_comes_out_as_it_was_recorded(traded: Path):
    found = TradeReplay(TradeFolder(traded)).run()
    assert found.differences == []
    assert found.same == found.decided > 40
    assert {r.reason.split(":")[0] for r in TradeReplay(TradeFolder(traded)).records} >= {
        "", "order limit",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("table", "column", "names"),
    [
        ("decisions", "q", {"q"}),
        ("decisions", "account", {"account"}),
        ("decisions", "target", {"target"}),
        ("decisions", "equity", {"equity"}),
        ("orders", "traded", {"quantity from before", "equity from before"}),
        ("orders", "fee", {"equity from before"}),
    ],
)
def test_a_value_that_was_changed_is_found_by_its_name(traded, tmp_path, table, column, names):
    def change(values: list) -> list:
        k = next(k for k, value in enumerate(values) if value not in (None, []))
        new = values[k]
        values[k] = [new[0] + 0.25, *new[1:]] if isinstance(new, list) else _other(new)
        return values

    def _other(value: float | int) -> float | int:
        return (value + 2) % 3 - 1 if isinstance(value, int) else value + 1.0

    replay = TradeReplay(changed(traded, tmp_path / "out", table, column, change))
    assert {difference.name for difference in replay.run().differences} == names


def test_market_rows_that_were_changed_are_found(traded: Path, tmp_path):
    replay = TradeReplay(TradeFolder(traded))
    block = next(f"block {b.name}" for b in replay.data.schema.blocks if b.clock == "1m")

    def change(values: list) -> list:
        last = np.frombuffer(values[0], np.float32).copy()
        last[-8:] += 1.0
        return [last.tobytes(), *values[1:]]

    found = TradeReplay(changed(traded, tmp_path / "out", "rows", block, change)).run()
    assert found.same < found.decided
    assert "q" in {difference.name for difference in found.differences}


def test_what_is_no_trading_run_or_has_other_weights_is_refused(traded: Path, tmp_path):
    with pytest.raises(ApexError, match=r"trade\.json"):
        TradeReplay(journal_folder(str(tmp_path)))
    assert journal_folder(str(traded / "journal")).path == traded
    copy = Path(shutil.copytree(traded, tmp_path / "out"))
    text = (copy / "trade.json").read_text()
    digest = TradeReplay(TradeFolder(traded)).chosen.checkpoint
    assert digest in text
    (copy / "trade.json").write_text(text.replace('"weights": "', '"weights": "0'))
    with pytest.raises(MismatchError, match="other weights"):
        TradeReplay(TradeFolder(copy))
