"""Adapter of SmolVLM2: a video is a row of pictures, each with its time written before it."""

from typing import Any

from kinoscope.backbones.family import Family


class SmolVLM(Family):
    """Times are written in whole seconds, so that a faster clip may read as a slower one.

    Pictures of all rows lie along one axis [1, N, 3, H, W]; a row's own are told by its tokens.
    The processor needs the package `num2words`, and has its own chat template for videos.
    """

    model_types = ("smolvlm",)
    reference = "HuggingFaceTB/SmolVLM2-2.2B-Instruct"
    model_class = "SmolVLMForConditionalGeneration"
    frames_axis = 1

    def decoder(self, core: Any) -> Any:
        """It has another name in this family."""
        return core.text_model
