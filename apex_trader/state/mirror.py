"""The market turned upside down: what happens to a state and to an account.

Every log price is negated. Each column declares what that does to it (``Column.sign`` and
``partner``), so the mirrored state is a permutation and a sign of the state itself, exactly. Only
the CNN's features have no such map: those of the mirrored market are table rows of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from apex_trader.state.schema import ACCOUNT_SIZE, Schema

A = TypeVar("A", NDArray[np.float32], torch.Tensor)

#: The position is odd; unrealised P&L, times, rates, drawdown are the same for a mirrored trader.
ACCOUNT_SIGN: NDArray[np.float32] = np.array([-1.0] + [1.0] * (ACCOUNT_SIZE - 1), np.float32)


def mirror_map(
    schema: Schema, blocks: Sequence[str] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """(index [size], sign [size]) with mirrored state = state[index] * sign.

    ``blocks``: those that the state holds, in the schema's order (default: all). CNN blocks are
    left as they are, since their mirrored values come from another table row.
    """
    indices, signs, start = [], [], 0
    for block in schema.blocks:
        if blocks is not None and block.name not in blocks:
            continue
        index, sign = block.mirror
        rows = start + block.width * np.arange(block.window, dtype=np.int64)[:, None]
        indices.append((rows + index).ravel())
        signs.append(np.tile(sign, block.window))
        start += block.size
    return np.concatenate(indices), np.concatenate(signs)


def mirror_account(account: A) -> A:
    """The accounts [..., 8] of the trader who holds the opposite position in the mirrored market.

    Returns a copy; numpy arrays and tensors alike.
    """
    if isinstance(account, torch.Tensor):
        return account * torch.as_tensor(ACCOUNT_SIGN, device=account.device, dtype=account.dtype)
    return account * ACCOUNT_SIGN
