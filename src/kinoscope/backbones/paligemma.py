"""Adapter of PaliGemma and PaliGemma 2: pictures first, then one text that sees all of itself."""

from kinoscope.backbones.family import Batch, Family, Prompt
from kinoscope.libraries import torch


class PaliGemma(Family):
    """Every prompt token attends to every other; only what is read behind it is causal.

    There is no conversation: all texts are joined, those of two messages by a line break, and stand
    behind all pictures. A video is a row of pictures, without times.
    """

    model_types = ("paligemma",)
    reference = "google/paligemma2-3b-pt-224"
    model_class = "PaliGemmaForConditionalGeneration"
    needs_video_processor = False
    first_position = 1

    def render(self, prompt: Prompt) -> str:
        """All texts in their order, wherever the pixels stood between them."""
        texts = [
            "".join(part.get("text", "") for part in message["content"])
            for message in prompt.messages
        ]
        return "\n".join(text for text in texts if text)

    def inputs(self, prompt: Prompt) -> Batch:
        """Pixels, `<bos>`, text and a line break; type 0 marks what sees all, 1 what is causal."""
        text = self.render(prompt)
        if prompt.clip is None:  # the processor knows no prompt without a picture
            tokenizer = self.processor.tokenizer
            text = f"{tokenizer.bos_token}{text}\n"
            found = tokenizer([text], add_special_tokens=False, return_tensors="pt")
        else:
            pictures = list(prompt.frames_FHWC)
            text = self.processor.image_token * len(pictures) + text
            found = self.processor(text=[text], images=[pictures], return_tensors="pt")
        inputs = {
            key: found[key]
            for key in ("input_ids", "attention_mask", "pixel_values")
            if key in found
        }
        prefix = torch().zeros_like(inputs["input_ids"])
        return {**inputs, "token_type_ids": prefix}
