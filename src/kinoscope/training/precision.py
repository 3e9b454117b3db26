"""In what arithmetic this machine trains fastest."""

import torch

from kinoscope.training.task import Precision

_MULTIPLIES_BF16 = ("amx_bf16", "avx512_bf16", "sve_bf16", "bf16")
"""Instructions of processors, as PyTorch names them; without one bfloat16 is emulated."""


def fast_precision() -> Precision:
    """`bf16` where the GPU, or else the processor, multiplies bfloat16 itself, `no` elsewhere.

    A processor that does not takes up to sixty times as long as for float32.
    """
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no"
    known = torch.cpu.get_capabilities()
    return "bf16" if any(known.get(name) for name in _MULTIPLIES_BF16) else "no"
