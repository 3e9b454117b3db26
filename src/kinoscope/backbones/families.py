"""Every family of multimodal LLMs with an adapter, found by a checkpoint's own config."""

from kinoscope.backbones.family import Family
from kinoscope.backbones.internvl import InternVL
from kinoscope.backbones.llava_onevision import LlavaOneVision
from kinoscope.backbones.paligemma import PaliGemma
from kinoscope.backbones.qwen_vl import Qwen2VL, Qwen3VL, Qwen25VL
from kinoscope.backbones.smolvlm import SmolVLM

FAMILIES: tuple[type[Family], ...] = (
    Qwen2VL,
    Qwen25VL,
    Qwen3VL,
    SmolVLM,
    LlavaOneVision,
    InternVL,
    PaliGemma,
)
"""In the order in which people are told of them."""


def family_of(model_type: str) -> type[Family] | None:
    """The adapter for a config's `model_type`, or None."""
    return next((family for family in FAMILIES if model_type in family.model_types), None)


def supported() -> str:
    """The model types with an adapter, for messages."""
    names = ", ".join(name for family in FAMILIES for name in family.model_types)
    return f"{names}, and Tarsier2"
