"""The real market files beside the checkout; a test that needs an absent one is skipped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

FOLDER = Path(__file__).parents[1].parent / "shared" / "market"


def real_folder() -> Path:
    """The folder with all of them."""
    if not FOLDER.is_dir():
        pytest.skip("the real market files are not beside the checkout")
    return FOLDER


def real_file(name: str) -> Path:
    """One file by its name."""
    path = FOLDER / name
    if not path.is_file():
        pytest.skip(f"the real market file {name} is not beside the checkout")
    return path


def real_columns(name: str) -> dict[str, np.ndarray]:
    """One file's columns; times as they lie there (bars: ms, trades: µs)."""
    table = pq.read_table(real_file(name))
    return {column: table[column].to_numpy() for column in table.column_names}
