"""Adapters of the Qwen-VL families: Qwen2-VL (and Tarsier2), Qwen2.5-VL, Qwen3-VL."""

from typing import Any

import numpy as np

from kinoscope.backbones.family import Batch, Family, Prompt
from kinoscope.libraries import torch


class Qwen2VL(Family):
    """Positions have three axes; a video is read in pairs of frames, without times."""

    model_types = ("qwen2_vl",)
    reference = "Qwen/Qwen2-VL-7B-Instruct"
    model_class = "Qwen2VLForConditionalGeneration"

    def image_options(self) -> dict[str, Any]:
        """Bounds the pixels of the picture."""
        return self._size(self.processor.image_processor, self.max_pixels)

    def video_options(self, prompt: Prompt) -> dict[str, Any]:
        """Bounds the pixels of each frame."""
        size = self._size(self.processor.video_processor, self._video_pixels(prompt))
        return {**super().video_options(prompt), **size, "cap_pixels_per_frame": False}

    def _video_pixels(self, prompt: Prompt) -> int | None:
        """The processor's bound: of each frame here, of all frames together in Qwen3-VL."""
        return self.max_pixels

    def _size(self, processor: Any, most: int | None) -> dict[str, Any]:
        if most is None:
            return {}
        least = min(int(processor.size["shortest_edge"]), most)
        return {"size": {"shortest_edge": least, "longest_edge": most}}

    def position_ids(self, core: Any, batch: Batch) -> Any:
        """Of three axes [3, B, T], as the model computes them."""
        names = ("input_ids", "mm_token_type_ids", "attention_mask", "second_per_grid_ts")
        grids = ("image_grid_thw", "video_grid_thw")
        known = {name: batch[name] for name in (*names, *grids) if name in batch}
        positions_3BT, _deltas = core.get_rope_index(**known)
        return positions_3BT


class Qwen25VL(Qwen2VL):
    """The axis of time counts seconds: the time between two pairs of frames is told."""

    model_types = ("qwen2_5_vl",)
    reference = "Qwen/Qwen2.5-VL-7B-Instruct"
    model_class = "Qwen2_5_VLForConditionalGeneration"

    def inputs(self, prompt: Prompt) -> Batch:
        """With the true time between two pairs, in place of the processor's estimate."""
        found = super().inputs(prompt)
        if "video_grid_thw" in found:
            pair_s = self.processor.video_processor.temporal_patch_size / prompt.sampled_fps
            found["second_per_grid_ts"] = torch().tensor([pair_s])
        return found


class Qwen3VL(Qwen2VL):
    """Writes the time of each pair of frames into the prompt."""

    model_types = ("qwen3_vl",)
    reference = "Qwen/Qwen3-VL-8B-Instruct"
    model_class = "Qwen3VLForConditionalGeneration"

    def render(self, prompt: Prompt) -> str:
        """The processor writes start and end around each pair of frames, behind its time.

        The pair that the chat template has put around the whole video must go: the processor of
        the checkpoint's makers replaced all three.
        """
        names = self.processor
        whole = f"{names.vision_start_token}{names.video_token}{names.vision_end_token}"
        return super().render(prompt).replace(whole, names.video_token)

    def video(self, prompt: Prompt) -> np.ndarray:
        """A lone frame is shown twice: the processor takes no fewer than a pair."""
        frames_FHWC = super().video(prompt)
        return frames_FHWC.repeat(2, axis=0) if len(frames_FHWC) == 1 else frames_FHWC

    def _video_pixels(self, prompt: Prompt) -> int | None:
        pair = self.processor.video_processor.temporal_patch_size
        frames = -(-len(prompt.frames_FHWC) // pair) * pair
        return None if self.max_pixels is None else self.max_pixels * frames
