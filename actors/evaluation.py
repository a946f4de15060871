"""The greedy agent as a policy that a backtest can judge, and the evaluator that does so."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from actors.overestimation import Watched, overestimation
from actors.policy import greedy
from actors.potentials import Potentials
from apex_trader.errors import ApexError
from apex_trader.evaluation.backtest import path_of, run_episodes
from apex_trader.evaluation.encodings import STRETCH, EncodedMarket
from apex_trader.evaluation.record import Record
from apex_trader.evaluation.statistics import summarize
from apex_trader.models.flat import QNetwork
from apex_trader.state.gather import MarketTables, gather
from apex_trader.state.segment import Segment
from apex_trader.time import DAY
from apex_trader.trading.config import RewardConfig, TradingConfig


class GreedyAgent(ABC):
    """Takes the action with the largest Q-value of a market that was encoded somewhere."""

    def __init__(self, network: QNetwork, name: str = "agent") -> None:
        self.name, self.network = name, network.eval()

    @abstractmethod
    def codes(self, rows: NDArray[np.int64]) -> Tensor:
        """[k, width] the network's encodings of global rows [k]."""

    def act(
        self,
        rows: NDArray[np.int64],
        accounts: NDArray[np.float32],
        positions: NDArray[np.int64],
    ) -> NDArray[np.uint8]:
        """See ``apex_trader.evaluation.policies.Policy.act``. ApexError as in ``values``."""
        return greedy(self.values(rows, accounts))

    def values(self, rows: NDArray[np.int64], accounts: NDArray[np.float32]) -> NDArray[np.float32]:
        """Q [k, actions] at global rows [k] with account features [k, 8].

        ApexError when a value is not finite: the weights diverged, or CNN rows are missing.
        """
        q: NDArray[np.float32] = self.q_values(rows, accounts).cpu().numpy()
        if not np.isfinite(q).all():
            row = int(rows[~np.isfinite(q).all(1)][0])
            raise ApexError(
                f"{self.name} has no finite Q-values at decision row {row}: either training "
                "diverged (lower learner.learning_rate), or the CNN rows of that segment were "
                "never written"
            )
        return q

    @torch.inference_mode()
    def q_values(self, rows: NDArray[np.int64], accounts: NDArray[np.float32]) -> Tensor:
        """Q-values [k, actions] at global rows [k] with account features [k, 8]."""
        z = self.codes(rows)
        return self.network.q(z, torch.from_numpy(accounts).to(z.device))


class EncodedPolicy(GreedyAgent):
    """The greedy agent on a market that its network has encoded whole."""

    def __init__(self, network: QNetwork, market: EncodedMarket, name: str = "agent") -> None:
        super().__init__(network, name)
        self.market = market

    def codes(self, rows: NDArray[np.int64]) -> Tensor:
        """See ``GreedyAgent.codes``."""
        return self.market.of(rows)


class GreedyPolicy(GreedyAgent):
    """The greedy agent on tables.

    Rows are encoded on first sight, a stretch of their segment at once, and kept: about 1 KB a
    row. Stretches that no episode enters are never encoded. The tables' decision rows and the
    path's are numbered alike, both from the same segments in the same order.
    """

    def __init__(self, network: QNetwork, tables: MarketTables, name: str = "agent") -> None:
        super().__init__(network, name)
        self.tables = tables
        self._first = np.array([*tables.first_row, tables.decisions], np.int64)
        self._known = np.zeros(tables.decisions, np.bool_)
        self._codes = torch.empty(
            (tables.decisions, network.encoder.width), dtype=torch.float32, device=tables.device
        )

    def codes(self, rows: NDArray[np.int64]) -> Tensor:
        """See ``GreedyAgent.codes``."""
        if not self._known[rows].all():
            self._encode(rows[~self._known[rows]])
        return self._codes.index_select(0, torch.from_numpy(rows).to(self.tables.device))

    def _encode(self, rows: NDArray[np.int64]) -> None:
        """Encodes the stretches of ``STRETCH`` rows, counted from each segment's first, of rows."""
        number = np.searchsorted(self._first, rows, side="right") - 1
        first = self._first[number]
        start, which = np.unique(first + (rows - first) // STRETCH * STRETCH, return_index=True)
        stop = np.minimum(start + STRETCH, self._first[number[which] + 1])
        for a, b in zip(start.tolist(), stop.tolist(), strict=True):
            wanted = torch.arange(a, b, device=self.tables.device)
            self._codes[a:b] = self.network.encode(gather(self.tables, wanted))
            self._known[a:b] = True


class Evaluator:
    """Greedy runs over the validation days, each episode flat at its start.

    segments must be in time order, with their CNN rows written into ``tables``. training: how many
    of them, the first, are days that the agent is trained on. They run in the same steps and serve
    no figure but those of the gap between training and validation. gamma: discount of a decision.
    """

    def __init__(
        self,
        segments: Sequence[Segment],
        tables: MarketTables,
        network: QNetwork,
        trading: TradingConfig,
        reward: RewardConfig,
        gamma: float,
        training: int = 0,
    ) -> None:
        validation = path_of(segments[training:])
        self.path = path_of(segments) if training else validation
        self._from = segments[training].day
        self.tables, self.network = tables, network
        self.trading, self.reward, self.gamma = trading, reward, gamma

    def evaluate(self, weights: Mapping[str, Tensor], updates: int) -> dict[str, float]:
        """``eval/...`` figures of a set of weights, made by the learner's update ``updates``."""
        self.network.load_state_dict(dict(weights))
        agent = Watched(GreedyPolicy(self.network, self.tables), len(self.path))
        records = run_episodes(self.path, agent, self.trading, self.reward)
        validation = [record for record in records if record.ts[0] >= self._from]
        training = [record for record in records if record.ts[0] < self._from]
        potentials = Potentials(self.tables, self.reward)
        promised = overestimation(validation, agent, self.path, potentials, self.gamma)
        return {
            **figures(validation, updates),
            **{f"eval/{name}": value for name, value in promised.items()},
            **gap(training, validation),
        }


def gap(training: Sequence[Record], validation: Sequence[Record]) -> dict[str, float]:
    """Net log return a day of both, and training less validation: what does not carry over.

    Without training days validation's alone.
    """
    per_day = log_return_per_day(validation)
    out = {"eval/net_return_per_day": per_day}
    if training:
        trained = log_return_per_day(training)
        out |= {"eval/train_net_return_per_day": trained, "eval/train_gap": trained - per_day}
    return out


def log_return_per_day(records: Sequence[Record]) -> float:
    """Net log return of all episodes, over the UTC days in which they decide."""
    left = np.array([record.equity[-1] for record in records])
    days = np.unique(np.concatenate([record.ts // DAY for record in records]))
    return float(np.log(np.maximum(left, np.finfo(np.float64).tiny)).sum() / len(days))


def figures(records: Sequence[Record], updates: int) -> dict[str, float]:
    """Metrics of a set of episodes.

    net_return, gross_return: mean over episodes. net_return_error: standard error of the mean.
    trades, fee, max_drawdown, exposure: means. reward_<term>: sum of a term, mean over episodes.
    """
    all_figures = [summarize(record) for record in records]
    net = np.array([f["net_return"] for f in all_figures])
    error = float(net.std(ddof=1) / np.sqrt(len(net))) if len(net) > 1 else float("nan")
    out = {"eval/updates": float(updates), "eval/episodes": float(len(net)),
           "eval/net_return_error": error}  # fmt: skip
    for name in ("net_return", "gross_return", "fee", "slippage", "funding", "trades",
                 "max_drawdown", "exposure"):  # fmt: skip
        out[f"eval/{name}"] = float(np.mean([f[name] for f in all_figures]))
    for term in records[0].terms:
        out[f"eval/reward_{term}"] = float(np.mean([r.terms[term].sum() for r in records]))
    return out
