"""A checkpoint used as its model card shows: one conversation, one forward pass, no adapter.

Prompts are spelt out here a second time, so that a slip in the product's own does not pass.
"""

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope import libraries
from kinoscope.types import Content, Features
from tests.tiny import moving_frames

FRAMES_A_SECOND = 2.0  # of the clips here: their times are multiples of half a second
QWEN_VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"


def clip(count: int, height: int, width: int, seed: int, *, step_s: float = 0.5) -> Features:
    """A clip in which something moves between all frames, one every `step_s` seconds."""
    frames = moving_frames(count, height, width, seed)
    changes = np.abs(np.diff(frames.rgb_FHWC.astype(int), axis=0))
    assert all((change > 40).mean() > 0.01 for change in changes), "nothing moves"
    return Features(frames.rgb_FHWC, step_s * np.arange(count, dtype=np.float64))


def summary_prompt(content: Content) -> list[dict[str, str]]:
    """TARA's question about a text, a picture, a video, or one of them with an edit."""
    medium = "image" if content.still else "video"
    if content.clip is None:
        return [_text(f"{content.text}\nSummary above sentence in one word:")]
    if content.text is None:
        return [{"type": medium}, _text(f"\nSummary above {medium} in one word:")]
    return [
        _text(f"Source {medium}: "),
        {"type": medium},
        _text(
            f"\nEdit instruction: {content.text}\nImagine this edit applied to the {medium} above."
            f"\nSummary of the resulting {medium} in one word:"
        ),
    ]


def question(content: Content) -> list[dict[str, str]]:
    """What a person would ask: pixels, if any, and the bare text."""
    seen = [] if content.clip is None else [{"type": "image" if content.still else "video"}]
    return [*seen, *([_text(content.text)] if content.text else [])]


@dataclass(frozen=True, kw_only=True)
class Plain:
    """`AutoProcessor` and `AutoModelForImageTextToText`, and nothing between them."""

    family: str
    processor: Any
    model: Any

    @classmethod
    def load(cls, family: str, folder: Path) -> "Plain":
        """In float32, on the CPU."""
        library = libraries.transformers()
        model = library.AutoModelForImageTextToText.from_pretrained(folder)
        return cls(
            family=family,
            processor=library.AutoProcessor.from_pretrained(folder),
            model=model.eval(),
        )

    def inputs(self, content: Content, parts: list[dict[str, str]] | None = None) -> dict[str, Any]:
        """Tensors of one conversation; `parts` is the user's message."""
        parts = parts or summary_prompt(content)
        if self.family.startswith("paligemma"):
            return self._paligemma(content, "".join(part.get("text", "") for part in parts))
        prompt = self.processor.apply_chat_template(
            [{"role": "user", "content": parts}], add_generation_prompt=True, tokenize=False
        )
        if self.family == "qwen3_vl":
            prompt = prompt.replace(QWEN_VIDEO, "<|video_pad|>")
        found = self.processor(text=[prompt], return_tensors="pt", **self._media(content))
        return {key: value for key, value in found.items() if value is not None}

    def states(self, content: Content, token_ids: tuple[int, ...] = ()) -> "PlainStates":
        """All states of the prompt, with `token_ids` behind it."""
        torch = libraries.torch()
        inputs = self.inputs(content)
        more = torch.tensor([token_ids], dtype=torch.long)
        behind = {"input_ids": more, "attention_mask": torch.ones_like(more)}
        behind["mm_token_type_ids"] = torch.zeros_like(more)
        behind["token_type_ids"] = torch.ones_like(more)  # PaliGemma's mark of what is causal
        for key in behind.keys() & inputs.keys():
            inputs[key] = torch.cat([inputs[key], behind[key].to(inputs[key].dtype)], dim=1)
        with torch.inference_mode():
            return PlainStates(self.model(**inputs, output_hidden_states=True))

    def answer(self, content: Content, max_new_tokens: int) -> str:
        """What Transformers' own `generate` says to a bare question."""
        inputs = self.inputs(content, question(content))
        with libraries.torch().inference_mode():
            ids = self.model.generate(**inputs, max_new_tokens=max_new_tokens, do_sample=False)
        new = ids[:, inputs["input_ids"].shape[1] :]
        return str(self.processor.batch_decode(new, skip_special_tokens=True)[0]).strip()

    def _media(self, content: Content) -> dict[str, Any]:
        if content.clip is None:
            return {}
        frames_FHWC = np.asarray(content.clip.values_F)
        if content.still:
            return {"images": [frames_FHWC[0]]}
        if self.family == "qwen3_vl" and len(frames_FHWC) == 1:
            frames_FHWC = np.concatenate([frames_FHWC, frames_FHWC])
        options: dict[str, Any] = {"do_sample_frames": False}
        if self.family.startswith("qwen"):
            options["cap_pixels_per_frame"] = False
        return {"videos": [frames_FHWC], "video_metadata": [_times(content.clip)], **options}

    def _paligemma(self, content: Content, text: str) -> dict[str, Any]:
        if content.clip is None:
            found = self.processor.tokenizer([f"<bos>{text}\n"], return_tensors="pt")
            return {**found, "token_type_ids": found["input_ids"] * 0}
        pictures = list(content.clip.values_F)
        prompt = "<image>" * len(pictures) + text
        found = self.processor(text=[prompt], images=[pictures], return_tensors="pt")
        return {key: value for key, value in found.items() if key != "labels"}


class PlainStates:
    """What one forward pass of the whole model gave."""

    def __init__(self, output: Any) -> None:
        """`output` is Transformers' own, with all hidden states."""
        self._output = output

    def layer(self, number: int) -> np.ndarray:
        """States [T, D] after so many layers; -1: after the last and its norm."""
        return np.asarray(self._output.hidden_states[number][0].numpy())

    @cached_property
    def vector_D(self) -> np.ndarray:
        """The last token's state, of unit length."""
        last_D = self.layer(-1)[-1]
        return last_D / np.linalg.norm(last_D)

    @property
    def logits_C(self) -> np.ndarray:
        """Of the next token, over the whole vocabulary."""
        return np.asarray(self._output.logits[0, -1].numpy())


@cache
def plain(family: str, folder: Path) -> Plain:
    """Loaded once a run."""
    return Plain.load(family, folder)


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _times(clip: Features) -> Any:
    from transformers.video_utils import VideoMetadata

    indices = [round(time_s * FRAMES_A_SECOND) for time_s in clip.times_F]
    step = indices[1] if len(indices) > 1 else round(FRAMES_A_SECOND)  # a lone one stays a second
    total = len(indices) * step
    return VideoMetadata(
        total_num_frames=total,
        fps=FRAMES_A_SECOND,
        frames_indices=indices,
        duration=total / FRAMES_A_SECOND,
    )
