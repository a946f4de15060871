"""The page of a walk-forward test: the folds together, the bad news with the good."""

from __future__ import annotations

from dataclasses import replace

import pytest

from apex_trader.evaluation.report.walk_forward_page import (
    render_walk_forward,
    walk_forward_verdict,
)
from tests.evaluation.report.test_page import Elements, own


@pytest.fixture(scope="module")
def page(data) -> str:
    return render_walk_forward(
        data.walk_forward, "eth: folds", {"market": "x"}, ["<b>Synthetic</b>"], "python -m x",
        {"fold-1": "runs/a/fold-1/report.html"},
    )  # fmt: skip


def test_it_is_a_whole_page_that_loads_nothing(page):
    elements = Elements(page)
    assert elements.open == []
    assert "http" not in own(page).replace("http-equiv", "")
    assert "&lt;b&gt;Synthetic&lt;/b&gt;" in page


def test_it_has_the_folds_their_chain_and_every_folds_own_report(page):
    for key in ("folds", "folds_equity"):
        assert f'id="spec-{key}"' in page
    assert "runs/a/fold-1/report.html" in page
    assert "python -m x" in page


def test_the_verdict_names_who_did_better(data):
    walk = data.walk_forward
    nets = {name: {**f, "net_return": -0.5} for name, f in walk.figures.items()}
    nets["agent"]["net_return"], nets["flat"]["net_return"] = -0.2, 0.0
    said = " ".join(walk_forward_verdict(replace(walk, figures=nets)))
    assert "lost 20.00% after all costs" in said
    assert "did better: flat (+0.00%)." in said
    nets["agent"]["net_return"] = 0.3
    assert "did better" not in " ".join(walk_forward_verdict(replace(walk, figures=nets)))
