"""One CUDA graph for the device's part of an update: launching it costs the host one call."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch

from learner.precision import resolve_mode

#: Updates run before the capture: kernels are chosen and compiled in them.
WARM_UP = 3


class UpdateGraph:
    """Runs the device's part of an update, on a GPU as one captured CUDA graph.

    The first WARM_UP updates run as they are, on a side stream as capture requires, so warming up
    is learning too. Capture only records; the recorded update is then replayed.
    """

    def __init__(self, mode: str, device: torch.device) -> None:
        self._wanted = device.type == "cuda" and resolve_mode(mode, device)
        self._required = mode == "on"
        self._device = device
        self.forget()

    def forget(self) -> None:
        """Capture anew: tensors that the graph holds were replaced."""
        self._graph: torch.cuda.CUDAGraph | None = None
        self._warm = 0

    def run(self, step: Callable[[], None]) -> None:
        """One update by ``step()``."""
        if not self._wanted:
            step()
        elif self._warm < WARM_UP:
            self._warm += 1
            self._run_aside(step)
        else:
            self._replay(step)

    def _run_aside(self, step: Callable[[], None]) -> None:
        side = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        main = torch.cuda.current_stream(self._device)
        side.wait_stream(main)
        with torch.cuda.stream(side):
            step()
        main.wait_stream(side)

    def _replay(self, step: Callable[[], None]) -> None:
        if self._graph is None:
            try:
                self._graph = self._capture(step)
            except RuntimeError as error:
                if self._required:
                    raise
                warnings.warn(
                    f"updates run without a CUDA graph, which could not be captured: {error}",
                    RuntimeWarning,
                    stacklevel=4,
                )
                self._wanted = False
                step()
                return
        self._graph.replay()

    def _capture(self, step: Callable[[], None]) -> torch.cuda.CUDAGraph:
        torch.cuda.synchronize(self._device)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        return graph
