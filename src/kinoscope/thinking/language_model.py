"""Which models can think: those with a language model whose last state is their vector."""

from kinoscope.backbones.likelihood import require_head
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.protocol import Backbone
from kinoscope.errors import UsageError


def language_model(backbone: Backbone) -> MLLM:
    """The backbone, if it can take steps and say what a step reads.

    Raises `UsageError` for a model of another kind or one that is served elsewhere, for one without
    a head, and for one whose vectors come from an earlier layer or from all states.
    """
    if not isinstance(backbone, MLLM):
        raise UsageError(
            f"the model {backbone.model} gives vectors without a language model's steps, so it"
            " cannot think: load a multimodal LLM here, such as mini, or leave thinking out"
        )
    require_head(backbone)
    if backbone.head != "last":
        raise UsageError(
            f"{backbone.model} embeds by the head {backbone.head!r}, and thinking reads the last"
            " state of the last layer: load it without a layer of its own, or set thinking to none"
        )
    return backbone
