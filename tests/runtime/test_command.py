"""A user's mistake ends with one line and exit code 2; a programming error keeps its traceback."""

from __future__ import annotations

import pytest

from apex_trader.errors import ApexError, ConfigError
from apex_trader.runtime.command import INTERRUPTED, OK, USAGE, run_command


def failing(error: BaseException):
    def body() -> int:
        raise error

    return body


def test_done_is_zero_and_a_code_is_passed_on():
    assert run_command(lambda: None) == OK
    assert run_command(lambda: 1) == 1


def test_a_mistake_is_one_line_on_stderr(capsys):
    message = "a " + "very " * 60 + "long reason with [brackets] and a [bold]name[/]"
    assert run_command(failing(ApexError(message))) == USAGE
    out = capsys.readouterr()
    assert out.err == f"error: {message}\n"
    assert out.out == ""


def test_a_bad_setting_names_field_value_and_what_is_allowed(capsys):
    run_command(failing(ConfigError("train.updates", 0, "1 or more")))
    assert capsys.readouterr().err == "error: train.updates=0 cannot be used: 1 or more\n"


def test_an_interrupt_is_not_a_crash(capsys):
    assert run_command(failing(KeyboardInterrupt())) == INTERRUPTED
    assert capsys.readouterr().err == "stopped\n"


def test_a_bug_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        run_command(failing(ZeroDivisionError()))
