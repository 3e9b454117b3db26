"""How sentence-transformers must call a processor so that it reads what our adapter reads."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from kinoscope.backbones.family import TICKS, Family, Prompt
from kinoscope.backbones.mllm import MLLM
from kinoscope.errors import UsageError
from kinoscope.interop.chat_template import either, replaced, with_prompts
from kinoscope.libraries import torch
from kinoscope.prompts import Template
from kinoscope.types import Content, Features, Role

Options = dict[str, dict[str, Any]]
"""The `processing_kwargs` of a sentence-transformers model, by modality."""

_MOST_FRAMES = 4096  # as many as a clip may have
_SECONDS = "second_per_grid_ts"  # the processor rounds them to ticks, our adapter does not


@dataclass(frozen=True, kw_only=True)
class ChatTemplate:
    """A chat template with prompts, the arguments it is called with, and what it was made from."""

    text: str
    arguments: dict[str, Any]
    own: str


def chat_template(family: Family, template: Template) -> ChatTemplate:
    """What renders bare messages as `family` renders those of `template`."""
    processor = family.processor
    own = processor.chat_template
    own = own["default"] if isinstance(own, Mapping) else own
    arguments: dict[str, Any] = {"add_generation_prompt": True}
    chat, for_video = own, _built_in(processor)
    if for_video:
        chat = either("video", for_video, own)
    probe = prompt_of(Content(clip=_clip(2)), template)
    if family.render(probe) != Family.render(family, probe):  # Qwen3-VL leaves marks out
        marks = (processor.vision_start_token, processor.video_token, processor.vision_end_token)
        chat = replaced(chat, "".join(marks), processor.video_token)
    text = with_prompts(template, chat, family.control_words)
    if for_video:  # only an argument keeps the processor from taking its own
        arguments["chat_template"] = text
    return ChatTemplate(text=text, arguments=arguments, own=own)


def changes_frames(family: Family) -> bool:
    """Whether a video processor gets other frames than a clip's: Tarsier2 shows each one twice."""
    prompt = Prompt(messages=[], clip=_clip(2), still=False)
    return len(family.video(prompt)) != len(prompt.frames_FHWC)


def processor_values(family: Family, clip_frames: int | None) -> Options:
    """What changes in `processor_config.json`: the bounds of pixels, and no choice of frames.

    SmolVLM's processor chooses, whatever it is told, where `num_frames` or `fps` has a value.
    Raises `UsageError` where the bound of pixels depends on a clip's length and cannot be told.
    """
    video = {**_video_values(family, clip_frames), "num_frames": None, "fps": None}
    return {"image_processor": family.image_options(), "video_processor": video}


def require_same_inputs(processor: Any, backbone: MLLM, options: Options) -> None:
    """Raises `UsageError` unless the model gets from `processor` what `backbone` gives it.

    `processor` is called as sentence-transformers does, for each kind of content and both roles.
    """
    checkpoint = backbone.checkpoint
    for content in _probes():
        _, ours = next(backbone.batches([content]))
        theirs = _their_inputs(processor, content, checkpoint.template, options)
        wrong = sorted(ours.keys() ^ theirs.keys())
        wrong += [name for name in ours if name in theirs and not _same(name, ours, theirs)]
        if wrong:
            raise UsageError(
                f"{checkpoint.family.model_types[0]} cannot be exported: sentence-transformers"
                f" would read content of kind {content.kind} in another way ({wrong[0]})"
            )


def prompt_of(content: Content, template: Template) -> Prompt:
    """What an adapter makes of a content."""
    medium = "image" if content.still else "video"
    messages = template.messages(content.kind, content.text, medium, content.role)
    return Prompt(messages=messages, clip=content.clip, still=content.still)


def media_of(content: Content) -> dict[str, Any]:
    """Its picture or video as sentence-transformers takes it, by the name of the modality."""
    if content.clip is None:
        return {}
    prompt = Prompt(messages=[], clip=content.clip, still=content.still)
    if content.still:
        return {"image": prompt.frames_FHWC[0]}
    ticks_F = prompt.ticks_F
    length = ticks_F[-1] + round(TICKS / prompt.sampled_fps)
    metadata = {
        "total_num_frames": length,
        "fps": float(TICKS),
        "duration": length / TICKS,
        "frames_indices": ticks_F,
    }
    pixels_FCHW = torch().from_numpy(prompt.frames_FHWC).permute(0, 3, 1, 2)
    return {"video": {"array": pixels_FCHW, "video_metadata": metadata}}


def _video_values(family: Family, clip_frames: int | None) -> dict[str, Any]:
    """Options of the video processor for clips of any length.

    Qwen3-VL bounds the pixels of all frames together: its cap of each frame says as much, if the
    bound is a whole number of tokens and the count of frames is even.
    """
    few, many = (_options_for(family, count) for count in (2, 4))
    if few == many:
        return few
    processor, most = family.processor.video_processor, family.max_pixels
    assert most is not None, "a bound out of nothing"
    token = (processor.patch_size * processor.merge_size) ** 2
    least = int(few["size"]["shortest_edge"])
    even = clip_frames is None or clip_frames % 2 == 0
    if even and most % token == 0 and int(1.05 * least) <= most:
        size = {"shortest_edge": least, "longest_edge": most * _MOST_FRAMES}
        return {
            **few,
            "size": size,
            "cap_pixels_per_frame": True,
            "max_video_tokens": most // token,
        }
    if clip_frames is None:
        raise UsageError(
            f"max_pixels {most} without clip_frames cannot be exported: choose clip_frames"
        )
    return _options_for(family, clip_frames)


def _options_for(family: Family, count: int) -> dict[str, Any]:
    prompt = Prompt(messages=[], clip=_clip(count), still=False)
    found = family.video_options(prompt)
    return {name: value for name, value in found.items() if name != "video_metadata"}


def _built_in(processor: Any) -> str | None:
    """A chat template for videos that the processor has in its code: SmolVLM's."""
    module = importlib.import_module(type(processor).__module__)
    return getattr(module, "DEFAULT_CHAT_TEMPLATE", None)


def _clip(count: int) -> Features:
    rows_FHWC = np.arange(count * 64 * 96 * 3).reshape(count, 64, 96, 3) % 251
    return Features(rows_FHWC.astype(np.uint8), 0.5 * np.arange(count, dtype=np.float64))


def _probes() -> Iterator[Content]:
    still = _clip(1)
    for role in get_args(Role):
        yield Content(text='a door, "open" <|im_end|>', role=role)
        yield Content(clip=_clip(4), role=role)
        yield Content(clip=_clip(4), text="at night", role=role)
        yield Content(clip=still, still=True, role=role)
        yield Content(clip=still, still=True, text="at night", role=role)


def _their_inputs(
    processor: Any, content: Content, template: Template, options: Options
) -> dict[str, Any]:
    """Tensors by sentence-transformers' call of the processor: bare content, behind its prompt."""
    said, videos = media_of(content), {}
    if "video" in said:
        videos["video_metadata"] = [said["video"]["video_metadata"]]
        said["video"] = said["video"]["array"]
    if content.text is not None:
        said["text"] = content.text
    parts = [{"type": name, name: value} for name, value in said.items()]
    conversation = [{"role": "user", "content": parts}]
    system = template.query if content.role == "query" else template.document
    if system:
        words = [{"type": "text", "text": system}]
        conversation = [{"role": "system", "content": words}, *conversation]
    found = processor.apply_chat_template(
        [conversation],
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
        processor_kwargs={
            "text_kwargs": {"padding": True, "truncation": "longest_first", **options["text"]},
            "videos_kwargs": videos,
        },
        **options["chat_template"],
    )
    return {name: value for name, value in found.items() if value is not None}


def _same(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> bool:
    a = ours[name].cpu()
    b = torch().as_tensor(theirs[name]).to(a.dtype)
    tolerance = 1 / TICKS if name == _SECONDS else 0.0
    return a.shape == b.shape and bool(torch().allclose(a, b, rtol=tolerance, atol=1e-6))
