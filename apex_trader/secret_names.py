"""Which names stand for something secret, so that what they hold is never repeated."""

from __future__ import annotations

import re

#: What stands in place of a secret.
HIDDEN = "…"
_SECRET = ("key", "secret", "token", "password", "passwd", "passphrase")


def names_secret(name: str) -> bool:
    """Whether a setting, option or environment variable of that name holds a secret itself.

    ``exchange.api_key``, ``--secret``, ``WANDB_API_KEY`` and ``apiKey`` do; ``exchange.key_file``
    and ``secret_env``, which say where one is kept, do not.
    """
    words = re.split(r"[^A-Za-z0-9]+", name)
    return words[-1].lower().endswith(_SECRET)
