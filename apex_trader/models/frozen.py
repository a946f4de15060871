"""The extractor as the rest of the program uses it: fixed weights with a name of their own."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from concurrent.futures import Executor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from apex_trader.errors import ApexError, DataError, MismatchError
from apex_trader.models.config import CNNConfig, StackConfig
from apex_trader.models.extractor import ROW_SIZE, CNNExtractor, both_sides
from apex_trader.state.gather import MarketTables
from apex_trader.state.schema import Schema
from apex_trader.state.segment import Segment

#: Raised when the network's code changes what the same weights mean.
_FORMAT = 2


class FrozenExtractor:
    """A fitted CNN with its identity. It never changes: a refit gives another one.

    version: hex digest of weights, configuration and schema; names the CNN rows it made.
    schema: what it was fitted on; its fingerprint is saved and compared.
    figures: validation figures, ``pretrain/...``.

    Raises:
        MismatchError: the weights do not fit the schema and the configuration.
    """

    def __init__(
        self,
        schema: Schema,
        config: CNNConfig,
        weights: Mapping[str, Tensor],
        figures: Mapping[str, float] | None = None,
    ) -> None:
        self.schema = schema
        self.config = config
        self.figures = dict(figures or {})
        # a private generator keeps the construction away from torch's global one
        self.network = CNNExtractor(schema, config, torch.Generator().manual_seed(0))
        try:
            self.network.load_state_dict(dict(weights))
        except RuntimeError as error:
            raise MismatchError(
                f"the extractor's weights do not fit schema {schema.name!r} and models.cnn: "
                f"{str(error).splitlines()[-1].strip()}"
            ) from None
        self.network.eval().requires_grad_(False)
        self.version = _digest(schema.fingerprint, config, self.network.state_dict())

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(p.numel() for p in self.network.parameters())

    def to(self, device: torch.device | str) -> FrozenExtractor:
        """Itself, with its network moved to ``device``."""
        self.network.to(device)
        return self

    @torch.inference_mode()
    def rows(
        self,
        tables: MarketTables,
        first: int,
        count: int,
        batch: int = 512,
        wanted: NDArray[np.bool_] | None = None,
        pool: Executor | None = None,
    ) -> Tensor:
        """CNN rows of decision rows [first, first + count): float16 [count, 2, 528].

        Axis 1: the market as it is, and mirrored. Computed in batches on the tables' device.
        wanted [count]: batches without a wanted row are left NaN, so that a use of one shows.
        pool: where batches are computed beside each other.

        Raises:
            MismatchError: the tables' schema is another one.
            ApexError: an output is not finite.
        """
        if tables.schema.fingerprint != self.schema.fingerprint:
            raise _other_schema(self, tables.schema)
        device = tables.device
        self.network.to(device)
        out = torch.full((count, 2, ROW_SIZE), torch.nan, dtype=torch.float16, device=device)
        starts = [
            start for start in range(0, count, batch)
            if wanted is None or wanted[start : start + batch].any()
        ]  # fmt: skip

        def compute(start: int) -> None:
            self._compute(tables, first + start, out[start : start + batch])

        for _ in (map if pool is None else pool.map)(compute, starts):
            pass
        return out

    @torch.inference_mode()
    def _compute(self, tables: MarketTables, first: int, out: Tensor) -> None:
        rows = torch.arange(first, first + len(out), device=tables.device)
        for side, output in enumerate(both_sides(self.network, tables, rows)):
            out[:, side] = output.rows().half()
        self._check_finite(out, first)

    def _check_finite(self, rows: Tensor, first: int) -> None:
        finite = torch.isfinite(rows).flatten(1).all(1)
        if not finite.all():
            bad = int((~finite).nonzero()[0]) + first
            raise ApexError(
                f"extractor {self.version[:12]} gives a value that is not finite at decision row "
                f"{bad}: verify the market's data, or fit the extractor again"
            )

    def attach(self, tables: MarketTables, batch: int = 512) -> None:
        """Computes the CNN rows of every decision row and attaches them to the tables.

        Rows of another version are dropped first. Errors as in ``rows``.
        """
        rows = self.rows(tables, 0, tables.decisions, batch)
        if tables.cnn_version != self.version:
            tables.drop_cnn()
        tables.write_cnn(0, rows, self.version)

    def segment_rows(self, segment: Segment, batch: int = 512) -> NDArray[np.float16]:
        """CNN rows of one segment: float16 [rows, 2, 528], to be shared beside it.

        Batches in which nothing can be decided are left NaN.
        """
        device = next(self.network.parameters()).device
        tables = MarketTables.from_segments([segment], self.schema, device)
        rows = self.rows(tables, 0, segment.rows, batch, segment.decisions.decidable)
        return np.asarray(rows.cpu().numpy(), np.float16)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, whole or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            torch.save(self.state_dict(), temporary)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

    def state_dict(self) -> dict[str, Any]:
        """Plain values and CPU tensors, from which ``from_state`` makes it again."""
        return {
            "format": _FORMAT,
            "schema": self.schema.fingerprint,
            "schema_name": self.schema.name,
            "version": self.version,
            "config": _plain(self.config),
            "figures": dict(self.figures),
            "weights": {k: v.detach().cpu() for k, v in self.network.state_dict().items()},
        }

    @classmethod
    def from_state(
        cls, state: Mapping[str, Any], schema: Schema, place: str = "extractor"
    ) -> FrozenExtractor:
        """The extractor of a ``state_dict``.

        Raises:
            MismatchError: it was fitted on another schema, written by another format, or its
                content is not what its version says.
        """
        if state.get("format") != _FORMAT:
            raise MismatchError(
                f"{place} has format {state.get('format')!r}, this program reads {_FORMAT}: "
                "fit the extractor again"
            )
        if state["schema"] != schema.fingerprint:
            raise MismatchError(
                f"{place} was fitted on schema {state['schema_name']!r} ({state['schema'][:12]}), "
                f"not on {schema.name!r} ({schema.fingerprint[:12]}): use the schema it was fitted "
                "on, or fit an extractor for this one"
            )
        values = dict(state["config"])
        config = CNNConfig(**{**values, "stack": StackConfig(**values["stack"])})
        frozen = cls(schema, config, state["weights"], state["figures"])
        if frozen.version != state["version"]:
            raise MismatchError(
                f"{place} says version {state['version'][:12]}, its content is "
                f"{frozen.version[:12]}: the file was changed; restore it or fit again"
            )
        return frozen

    @classmethod
    def load(cls, path: str | os.PathLike[str], schema: Schema) -> FrozenExtractor:
        """Read a file that ``save`` wrote; its content is data only, never code.

        Raises:
            DataError: no such file, or not one of ours.
            MismatchError: as in ``from_state``.
        """
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            if not isinstance(state, dict) or "weights" not in state:
                raise KeyError("weights")
        except (OSError, KeyError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
            raise DataError(
                str(path),
                f"cannot be read as an extractor ({type(error).__name__})",
                "Give the extractor file of a run, or fit the extractor again",
            ) from None
        return cls.from_state(state, schema, str(path))


def _other_schema(frozen: FrozenExtractor, schema: Schema) -> MismatchError:
    return MismatchError(
        f"extractor {frozen.version[:12]} was fitted on schema {frozen.schema.name!r} "
        f"({frozen.schema.fingerprint[:12]}), the tables are of {schema.name!r} "
        f"({schema.fingerprint[:12]}): fit an extractor for this schema"
    )


def _plain(config: CNNConfig) -> dict[str, Any]:
    """The configuration as values that JSON and a weights-only file can hold."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return plain


def _digest(schema: str, config: CNNConfig, weights: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    digest.update(json.dumps([_FORMAT, schema, _plain(config)], sort_keys=True).encode())
    for name in sorted(weights):
        value = np.ascontiguousarray(weights[name].detach().cpu().numpy())
        digest.update(f"{name}:{value.dtype}:{value.shape}".encode())
        digest.update(value.tobytes())
    return digest.hexdigest()
