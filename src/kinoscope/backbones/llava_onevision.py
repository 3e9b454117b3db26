"""Adapter of LLaVA-OneVision: pictures in tiles, videos as frames of few tokens, without times."""

from kinoscope.backbones.family import Batch, Family


class LlavaOneVision(Family):
    """Pixels of several rows are one tensor, so that only equal tile or frame counts go together.

    A picture is [1, tiles, 3, H, W], a video [1, F, 3, H, W].
    """

    model_types = ("llava_onevision",)
    reference = "llava-hf/llava-onevision-qwen2-7b-ov-hf"
    model_class = "LlavaOnevisionForConditionalGeneration"

    def bucket(self, batch: Batch) -> object:
        """The shapes of the pixels; a text goes with any."""
        shapes = {
            name: tuple(batch[name].shape)
            for name in ("pixel_values", "pixel_values_videos")
            if name in batch
        }
        return tuple(shapes.items()) or None
