"""The actor that fits extractors: once before a run, and again when a newer slice is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from apex_trader.errors import ApexError
from apex_trader.models.config import CNNConfig, PretrainConfig
from apex_trader.models.frozen import FrozenExtractor
from apex_trader.models.pretrain import Pretrainer
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment


class PretrainActor:
    """Fits an extractor on a slice of segments, keeps the latest, refits it on a newer slice.

    ``fit`` and ``refit`` do it whole. A runtime that must stay responsive calls ``begin``, then
    ``advance`` with a few seconds until it is ``done``, then ``finish``.

    Args:
        schema: of the segments it will be given.
        config: budget of each fit.
        seed: of the first fit; the k-th refit uses ``seed + k``.
        cnn: widths of the network.
        device: where tables and network live.
        extractor: one that is there already, for ``refit`` to go on from.
    """

    def __init__(
        self,
        schema: Schema,
        config: PretrainConfig,
        seed: int,
        cnn: CNNConfig | None = None,
        device: torch.device | str = "cpu",
        extractor: FrozenExtractor | None = None,
    ) -> None:
        self.schema, self.config, self.seed = schema, config, seed
        self.cnn = cnn or CNNConfig()
        self.device = torch.device(device)
        self.extractor = extractor
        self.fits = 0
        self._pretrainer: Pretrainer | None = None

    def fit(
        self,
        segments: Sequence[Segment],
        report: Callable[[dict[str, float]], None] | None = None,
    ) -> FrozenExtractor:
        """Fits a new extractor within the whole budget. ``report`` gets metrics as it goes."""
        self.begin(segments)
        return self._run(report)

    def refit(
        self,
        segments: Sequence[Segment],
        report: Callable[[dict[str, float]], None] | None = None,
    ) -> FrozenExtractor:
        """Goes on from the latest extractor's weights on a newer slice; gives a new version.

        ApexError when nothing was fitted yet.
        """
        self.begin(segments, refit=True)
        return self._run(report)

    def begin(self, segments: Sequence[Segment], refit: bool = False) -> None:
        """Makes the slice's tables and labels, and the network to fit."""
        if refit and self.extractor is None:
            raise ApexError("there is no extractor to refit: fit one first, or pass a saved one")
        tables = MarketTables.from_segments(segments, self.schema, self.device)
        self._pretrainer = Pretrainer(
            tables,
            segments,
            self.config,
            self.seed + self.fits,
            self.cnn,
            initial=self.extractor if refit else None,
        )

    def advance(self, seconds: float) -> dict[str, float]:
        """Fits for about so many seconds; returns the metrics."""
        self._current().fit(seconds=seconds)
        return self.metrics()

    @property
    def done(self) -> bool:
        """Whether the fit in hand has spent its budget. ApexError when none was begun."""
        return self._current().done

    def finish(self) -> FrozenExtractor:
        """Judges and freezes the fit in hand, and lets go of its tables."""
        self.extractor = self._current().freeze()
        self._pretrainer = None
        self.fits += 1
        return self.extractor

    def metrics(self) -> dict[str, float]:
        """``pretrain/...`` of the fit in hand, else the figures of the latest extractor."""
        if self._pretrainer is not None:
            figures = {**self._pretrainer.metrics, "pretrain/progress": self._pretrainer.progress}
        else:
            figures = dict(self.extractor.figures) if self.extractor is not None else {}
        return {**figures, "pretrain/fits": float(self.fits)}

    def state_dict(self) -> dict[str, Any]:
        """The latest extractor, and the fit in hand if there is one."""
        return {
            "fits": self.fits,
            "extractor": None if self.extractor is None else self.extractor.state_dict(),
            "pretrainer": None if self._pretrainer is None else self._pretrainer.state_dict(),
        }

    def load_state_dict(
        self, state: Mapping[str, Any], segments: Sequence[Segment] | None = None
    ) -> None:
        """Goes on from a ``state_dict``; ``segments`` are those of the fit that was in hand.

        Raises:
            ApexError: a fit was in hand and ``segments`` are missing.
            MismatchError: extractor or fit belong to another schema or other segments.
        """
        self.fits = int(state["fits"])
        saved = state["extractor"]
        self.extractor = None if saved is None else FrozenExtractor.from_state(saved, self.schema)
        self._pretrainer = None
        if state["pretrainer"] is not None:
            if segments is None:
                raise ApexError("a fit was under way: give the segments of its slice to resume it")
            self.begin(segments)
            self._current().load_state_dict(state["pretrainer"])

    def _run(self, report: Callable[[dict[str, float]], None] | None) -> FrozenExtractor:
        self._current().fit(report=None if report is None else lambda _: report(self.metrics()))
        return self.finish()

    def _current(self) -> Pretrainer:
        if self._pretrainer is None:
            raise ApexError("no fit is under way: begin one with the segments of its slice")
        return self._pretrainer
