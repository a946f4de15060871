"""The W&B workspace names metrics that runs log, each on its own axis."""

from __future__ import annotations

import pytest

from apex_trader.runtime.metrics import STEP_AXES
from apex_trader.runtime.wandb_views import VIEWS, Figures, Lines, workspaces
from tests.runtime.documented import undocumented

LINES = [p for v in VIEWS for g in v.groups for p in g.panels if isinstance(p, Lines)]


def test_there_is_a_view_for_training_replay_evaluation_and_system():
    assert [view.name for view in VIEWS] == ["Training", "Replay health", "Evaluation", "System"]


def test_every_metric_of_a_panel_is_documented():
    assert undocumented(name for panel in LINES for name in (*panel.metrics, panel.axis)) == []


@pytest.mark.parametrize("panel", LINES, ids=lambda panel: panel.title)
def test_a_panel_is_of_one_group_over_that_groups_axis(panel):
    groups = {name.partition("/")[0] for name in panel.metrics}
    assert len(groups) == 1
    assert panel.axis == STEP_AXES[groups.pop()]


def test_every_group_of_metrics_is_shown_somewhere():
    assert {p.metrics[0].partition("/")[0] for p in LINES} == set(STEP_AXES)


def test_what_w_and_b_is_sent_holds_every_panel_once():
    for view, sent in zip(VIEWS, workspaces("team", "apex-trader"), strict=True):
        specification = sent._to_model().model_dump(mode="json", by_alias=True, exclude_none=True)
        assert (specification["entity"], specification["project"]) == ("team", "apex-trader")
        assert specification["displayName"] == view.name
        sections = specification["spec"]["section"]["panelBankConfig"]["sections"]
        assert [s["name"] for s in sections[: len(view.groups)]] == [g.title for g in view.groups]
        for group, section in zip(view.groups, sections, strict=False):
            assert len(section["panels"]) == len(group.panels)
            for panel, drawn in zip(group.panels, section["panels"], strict=True):
                if isinstance(panel, Figures):
                    assert drawn["viewType"] == "Media Browser"
                    assert drawn["config"]["mediaKeys"] == list(panel.names)
                else:
                    assert drawn["config"]["metrics"] == list(panel.metrics)
                    assert drawn["config"]["xAxis"] == panel.axis


def test_panels_of_a_section_do_not_lie_on_each_other():
    for view in workspaces("team", "apex-trader"):
        for section in view.sections:
            places = [(panel.layout.x, panel.layout.y) for panel in section.panels]
            assert len(set(places)) == len(places)
            assert all(x + 8 <= 24 for x, _ in places)
