"""Adapter of InternVL3 as Transformers has it: numbered frames, without times."""

from kinoscope.backbones.family import Family


class InternVL(Family):
    """A picture is cut into tiles, a frame of a video is not; both are rows of one tensor."""

    model_types = ("internvl",)
    reference = "OpenGVLab/InternVL3-8B-hf"
    model_class = "InternVLForConditionalGeneration"
