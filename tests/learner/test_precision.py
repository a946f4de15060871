"""Which arithmetic runs where."""

from __future__ import annotations

import pytest
import torch

from apex_trader.errors import ConfigError
from learner.precision import autocast, resolve_mode, resolve_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")


def test_the_cpu_computes_in_float32_unless_told_otherwise() -> None:
    assert resolve_precision("auto", CPU) == "float32"
    assert resolve_precision("bf16", CPU) == "bf16"


@pytest.mark.parametrize("capable", [True, False])
def test_a_gpu_computes_in_bf16_if_it_can(capable: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: capable)
    assert resolve_precision("auto", GPU) == ("bf16" if capable else "float32")
    assert resolve_precision("float32", GPU) == "float32"
    if not capable:
        with pytest.raises(ConfigError, match=r"learner\.precision='bf16'"):
            resolve_precision("bf16", GPU)


@pytest.mark.parametrize(
    ("mode", "cpu", "gpu"), [("auto", False, True), ("on", True, True), ("off", False, False)]
)
def test_speed_ups_are_for_gpus_unless_asked_for(mode: str, cpu: bool, gpu: bool) -> None:
    assert (resolve_mode(mode, CPU), resolve_mode(mode, GPU)) == (cpu, gpu)


def test_autocast_touches_the_network_s_products_only() -> None:
    a = torch.ones(2, 2)
    with autocast("bf16", CPU):
        assert (a @ a).dtype == torch.bfloat16
        assert (a + a).dtype == torch.float32
    with autocast("float32", CPU):
        assert (a @ a).dtype == torch.float32
