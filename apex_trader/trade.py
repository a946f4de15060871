"""Trade with a run's agent on a live market: on paper, unless told otherwise.

    python -m apex_trader.trade run=runs/eth_full/…                     # paper, until stopped
    python -m apex_trader.trade run=DIR risk.daily_loss=0.02 confidence.gate=0.6
    python -m apex_trader.trade run=DIR out=TRADES                      # goes on where TRADES ended
    python -m apex_trader.trade run=DIR learn=true                  # a learner goes on beside it
    touch TRADES/STOP                                                   # closes the position, halts
    python -m apex_trader.trade replay=TRADES                           # decides its journal again

run         the run's folder: its best checkpoint, extractor and confidence decide
checkpoint  best (on validation, the default), latest, or a name such as step-002000
out         folder of the trading run (default: a new one in DIR/trades); one that is there goes on
replay      a trading run: every decision is taken again from its journal alone, and must be
            the same; run then says where the run lies now, if not where it was
learn       true: the run's training goes on on what is heard, and weights that did better on it are
            adopted (trade.learn; settings of learner, replay and rollout count then)
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

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.command import run_command
from apex_trader.runtime.compose import load_config
from apex_trader.runtime.learned import Verdict, verdict_table
from apex_trader.runtime.load_agent import check_agent
from apex_trader.runtime.run_folder import RunFolder
from apex_trader.runtime.trade_replay import TradeReplay, journal_folder
from apex_trader.runtime.trade_session import TradeFolder, TradeSession
from apex_trader.runtime.words import split_words

#: Groups of settings that trading does not know: here they would change nothing.
_NEVER = ("pretrain", "cluster", "evaluation", "walk_forward", "wandb")
_ELSEWHERE = ("rollout", "replay", "learner", *_NEVER)
#: Words with which a learner goes on beside the trader.
_LEARNING = {"learn=true", "trade.learn=true"}


@dataclass
class Request:
    """What the user asked for; see the module's help."""

    run: str = ""
    checkpoint: str = "best"
    out: str = ""
    replay: str = ""
    overrides: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, arguments: list[str]) -> Request:
        """From the command line. Raises ApexError for what is not understood."""
        own = ("run", "checkpoint", "out", "replay")
        words, overrides = split_words(arguments, own, _ELSEWHERE)
        if "replay" in words:
            strange = [w for w in ("checkpoint", "out") if w in words] + overrides
            if strange:
                raise ApexError(
                    f"{strange[0].partition('=')[0]} changes nothing in a replay, which has the "
                    "settings of its trading run: leave it out"
                )
        elif not words.get("run"):
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
    if request.replay:
        _replay(request)
        return
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
    if verdicts := result.get("learning", {}).get("verdicts"):
        console.print(verdict_table([Verdict(**verdict) for verdict in verdicts]))
    say(f"result: {session.out.result}")


def _replay(request: Request) -> None:
    """Decide a journal again; ApexError, with the first differences, when something differs."""
    out = journal_folder(request.replay)
    replay = TradeReplay(out, request.run)
    torch.set_num_threads(replay.config.train.threads)
    found = replay.run()
    path = out.path / "replay.json"
    RunFolder(out.path).write_json(path, found.plain())
    console = Console(highlight=False, soft_wrap=True)
    said = (
        f"{found.same:,} of {found.decided:,} decisions came out as recorded, to the bit; "
        f"at {found.skipped:,} more nothing was asked"
    )
    console.print(said, markup=False)
    console.print(f"result: {path}", markup=False)
    if found.differences:
        first = "\n".join(f"  {difference}" for difference in found.differences[:5])
        raise ApexError(f"{len(found.differences):,} differences, the first of them:\n{first}")


if __name__ == "__main__":
    main()
