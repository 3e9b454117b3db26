"""The arithmetic of a training is that which the machine multiplies itself."""

import platform

import pytest
import torch

from kinoscope.training.precision import fast_precision


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        ({"avx2": True, "avx512_f": False, "avx512_bf16": False, "amx_bf16": False}, "no"),
        ({"avx512_f": True, "avx512_bf16": False, "amx_bf16": False}, "no"),
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": False}, "bf16"),
        ({"avx512_f": True, "avx512_bf16": True, "amx_bf16": True}, "bf16"),
        ({"asimd": True, "bf16": True}, "bf16"),
        ({}, "no"),
    ],
)
def test_bfloat16_is_for_processors_that_multiply_it(known, wanted, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert fast_precision() == wanted


@pytest.mark.parametrize(("native", "wanted"), [(True, "bf16"), (False, "no")])
def test_a_gpu_decides_where_there_is_one(native, wanted, monkeypatch) -> None:
    def supported(including_emulation: bool) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert fast_precision() == wanted


@pytest.mark.skipif(platform.machine() != "x86_64", reason="names of x86's instructions")
def test_pytorch_names_the_instructions_so() -> None:
    """A new name would silently mean float32 everywhere."""
    assert {"amx_bf16", "avx512_bf16"} <= set(torch.cpu.get_capabilities())
