"""Every call of the graph is exactly one update, captured or not."""

from __future__ import annotations

import pytest
import torch

from learner.cuda_graph import WARM_UP, UpdateGraph


class Recorded:
    """Stands for a captured graph: counts its replays."""

    def __init__(self, log: list[str]) -> None:
        self._log = log

    def replay(self) -> None:
        self._log.append("replay")


class OnHost(UpdateGraph):
    """The same order of events without a GPU."""

    def __init__(self, mode: str, capturable: bool = True) -> None:
        super().__init__(mode, torch.device("cuda"))
        self.log: list[str] = []
        self._capturable = capturable

    def step(self) -> None:
        self.log.append("step")

    def _run_aside(self, step: object) -> None:
        self.step()

    def _capture(self, step: object) -> Recorded:  # type: ignore[override]
        if not self._capturable:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.log.append("capture")
        return Recorded(self.log)


def test_warming_up_is_learning_and_capture_is_not_an_update() -> None:
    graph = OnHost("auto")
    for _ in range(WARM_UP + 2):
        graph.run(graph.step)
    assert graph.log == ["step"] * WARM_UP + ["capture", "replay", "replay"]


def test_after_a_restore_the_update_is_captured_anew() -> None:
    graph = OnHost("on")
    for _ in range(WARM_UP + 1):
        graph.run(graph.step)
    graph.forget()
    graph.log.clear()
    for _ in range(WARM_UP + 1):
        graph.run(graph.step)
    assert graph.log == ["step"] * WARM_UP + ["capture", "replay"]


def test_without_a_capture_updates_go_on_and_say_so_once() -> None:
    graph = OnHost("auto", capturable=False)
    for _ in range(WARM_UP):
        graph.run(graph.step)
    with pytest.warns(RuntimeWarning, match="without a CUDA graph"):
        graph.run(graph.step)
    graph.run(graph.step)
    assert graph.log == ["step"] * (WARM_UP + 2)


def test_a_graph_that_was_asked_for_is_not_silently_left_out() -> None:
    graph = OnHost("on", capturable=False)
    for _ in range(WARM_UP):
        graph.run(graph.step)
    with pytest.raises(RuntimeError, match="not permitted"):
        graph.run(graph.step)


@pytest.mark.parametrize("mode", ["auto", "on", "off"])
def test_on_the_cpu_there_is_no_graph(mode: str) -> None:
    done = []
    graph = UpdateGraph(mode, torch.device("cpu"))
    for _ in range(WARM_UP + 2):
        graph.run(lambda: done.append(1))
    assert len(done) == WARM_UP + 2
