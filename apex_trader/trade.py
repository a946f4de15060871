"""Trade with a run's agent on a live market: on paper, unless told otherwise.

    python -m apex_trader.trade run=runs/eth_full/…                     # paper, until stopped
    python -m apex_trader.trade run=DIR risk.daily_loss=0.02 confidence.gate=0.6
    python -m apex_trader.trade run=DIR out=TRADES                      # goes on where TRADES ended
    touch TRADES/STOP                                                   # closes the position, halts

run         the run's folder: its best checkpoint, extractor and confidence decide
checkpoint  best (on validation, the default), latest, or a name such as step-002000
out         folder of the trading run (default: a new one in DIR/trades); one that is there goes on
Any setting of the run can be changed as name=value, as in train; those of trading are trade.* and
risk.*, explained in docs/configuration.md. Ctrl-C, SIGTERM or a file STOP in the folder end a run.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from rich.console import Console

from apex_trader.errors import ConfigError
from apex_trader.runtime.command import run_command
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.load_agent import check_agent
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trade_session import TradeFolder, TradeSession
from apex_trader.runtime.words import split_words

#: Groups of settings that trading does not know: here they would change nothing.
_ELSEWHERE = (
    "rollout", "replay", "learner", "pretrain", "cluster", "evaluation", "walk_forward", "wandb",
)  # fmt: skip


@dataclass
class Request:
    """What the user asked for; see the module's help."""

    run: str = ""
    checkpoint: str = "best"
    out: str = ""
    overrides: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, arguments: list[str]) -> Request:
        """From the command line. Raises ApexError for what is not understood."""
        words, overrides = split_words(arguments, ("run", "checkpoint", "out"), _ELSEWHERE)
        if not words.get("run"):
            raise ConfigError("run", "", "the folder of a run, run=DIR")
        return cls(**words, overrides=overrides)


def main() -> None:
    """The command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    sys.exit(run_command(lambda: _run(sys.argv[1:])))


def _run(arguments: list[str]) -> None:
    request = Request.parse(arguments)
    folder = RunFolder.open(request.run)
    config = load_config(folder, request.overrides)
    check_agent(load_config(folder), config)
    torch.set_num_threads(config.train.threads)
    console = Console(highlight=False, soft_wrap=True)

    def say(text: str) -> None:
        console.print(text, markup=False)

    name = time.strftime("%Y-%m-%d_%H-%M-%S")
    out = Path(request.out).expanduser() if request.out else folder.path / "trades" / name
    session = TradeSession(config, folder, TradeFolder(out), request.checkpoint, say)
    say(f"{config.trade.mode} trading {config.market.primary}; to end it: touch {out}/STOP")
    result = session.run()
    say(
        f"ended ({result['ended']}): equity {result['equity']:,.2f} ({result['return']:+.2%}), "
        f"{result['fills']:,} fills of {result['orders']:,} orders"
    )
    say(f"result: {session.out.result}")


if __name__ == "__main__":
    main()
