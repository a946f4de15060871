"""Errors that a user can mend. Commands print them without a traceback."""

from __future__ import annotations

from apex_trader.secret_names import HIDDEN, names_secret


class ApexError(Exception):
    """A user's mistake or bad input: the message names the place and the remedy.

    Exit code of a command that ends with one: 2.
    """


class ConfigError(ApexError):
    """A configuration value that cannot be used.

    Args:
        field: dotted name of the field as the user types it, e.g. ``learner.batch_size``.
        value: what was given; neither kept nor shown where the field's name is that of a secret.
        allowed: what is allowed, in words.
    """

    def __init__(self, field: str, value: object, allowed: str) -> None:
        secret = names_secret(field)
        self.field, self.value, self.allowed = field, HIDDEN if secret else value, allowed
        shown = HIDDEN if secret else repr(value)
        super().__init__(f"{field}={shown} cannot be used: {allowed}")


class DataError(ApexError):
    """Market data that cannot be used: names file, row, field, reason and remedy."""

    def __init__(
        self,
        file: str,
        reason: str,
        remedy: str,
        *,
        row: int | None = None,
        field: str | None = None,
    ) -> None:
        self.file, self.reason, self.remedy, self.row, self.field = file, reason, remedy, row, field
        place = file
        if row is not None:
            place += f", row {row}"
        if field is not None:
            place += f", field {field!r}"
        super().__init__(f"{place}: {reason}. {remedy}")


class MismatchError(ApexError):
    """Two parts that do not belong together: schema, extractor version, market content."""
