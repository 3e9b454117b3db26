"""What an OpenAI embeddings server is sent, in the form that vLLM takes, and what comes back."""

import base64
import io
import itertools
import re
from typing import Any

import numpy as np

from kinoscope.backbones.family import TICKS, Prompt
from kinoscope.errors import SetupError
from kinoscope.prompts import Template
from kinoscope.types import Content, Float32, UInt8

_CONTROL = re.compile(
    r"<[|｜][^<>|｜\s]{1,64}[|｜]>|</?[A-Za-z_][\w-]{0,40}>|\[/?[A-Z_]{2,20}\]"
)  # what vocabularies call special: <|im_end|> <｜User｜> <image> </s> [IMG]


def prompt_of(template: Template, content: Content) -> Prompt:
    """The conversation of a content, before media and the server's chat template.

    Words with a meaning of their own for some model are split, so that they are mere text: which
    ones this model has, only the server knows.
    """
    medium = "image" if content.still else "video"
    text, caption = (
        said and _CONTROL.sub(lambda word: f"{word[0][0]} {word[0][1:]}", said)
        for said in (content.text, content.caption)
    )
    messages = template.messages(content.kind, text, medium, content.role, caption=caption)
    return Prompt(messages=messages, clip=content.clip, still=content.still)


def bare_text(template: Template, content: Content) -> str:
    """All words of a text's conversation, for servers that take no messages."""
    messages = prompt_of(template, content).messages
    return "\n".join(part["text"] for message in messages for part in message["content"])


def conversation(prompt: Prompt) -> dict[str, Any]:
    """`messages` with media as data URLs, and what else a server must know of a video."""
    messages = [
        {**message, "content": [_part(part, prompt) for part in message["content"]]}
        for message in prompt.messages
    ]
    body: dict[str, Any] = {"messages": messages, "add_generation_prompt": True}
    if prompt.clip is not None and not prompt.still:
        body["mm_processor_kwargs"] = {"do_sample_frames": False, "fps": prompt.sampled_fps}
        body["media_io_kwargs"] = {"video": frame_times(prompt)}
    return body


def frame_times(prompt: Prompt) -> dict[str, Any]:
    """vLLM's metadata of a row of pictures: frame i is shown at `frames_indices[i] / fps` seconds.

    Evenly spaced frames are told by their rate alone, which vLLM read earlier than indices; others
    in ticks of a millisecond.
    """
    ticks_F = prompt.ticks_F
    steps = {later - earlier for earlier, later in itertools.pairwise(ticks_F)}
    step = steps.pop() if len(steps) == 1 else 0
    even = step > 0 and TICKS % step == 0
    rate, indices = (TICKS // step, list(range(len(ticks_F)))) if even else (TICKS, ticks_F)
    indices = indices * _repeats(prompt)
    total = max(len(indices), indices[-1] + round(rate / prompt.sampled_fps))
    return {
        "fps": float(rate),
        "frames_indices": indices,
        "total_num_frames": total,
        "duration": total / rate,
        "num_frames": len(indices),  # all that are sent: the default bound is 32
        "do_sample_frames": False,
    }


def _repeats(prompt: Prompt) -> int:
    """A lone frame is shown twice: models that read pairs of frames refuse less than one."""
    return 2 if len(prompt.frames_FHWC) == 1 else 1


def _part(part: dict[str, str], prompt: Prompt) -> dict[str, Any]:
    if part["type"] == "image":
        url = f"data:image/png;base64,{_png(prompt.frames_FHWC[0])}"
        return {"type": "image_url", "image_url": {"url": url}}
    if part["type"] == "video":
        pictures = [_png(rgb_HWC) for rgb_HWC in prompt.frames_FHWC] * _repeats(prompt)
        url = f"data:video/jpeg;base64,{','.join(pictures)}"
        return {"type": "video_url", "video_url": {"url": url}}
    return dict(part)


def _png(rgb_HWC: UInt8) -> str:
    """Lossless, unlike what the type of the URL says; servers look at the bytes."""
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(rgb_HWC).save(written, "PNG", compress_level=1)
    return base64.b64encode(written.getvalue()).decode()


def read_embeddings(answer: object, count: int, dimension: int | None = None) -> Float32:
    """Vectors [count, D] of an answer, in the order of `index`; lists, or base64 of float32.

    Raises `SetupError` for another count, other indices than 0..count-1, or a vector that is not
    finite, is zero or has another length than `dimension`.
    """
    data = answer.get("data") if isinstance(answer, dict) else None
    rows = [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []
    if len(rows) != count:
        raise SetupError(
            f"the server answered {count} inputs with {len(rows)} vectors: look at its log"
        )
    numbered = {row["index"]: row for row in rows if type(row.get("index")) is int}
    if set(numbered) != set(range(count)):
        indices = [row.get("index") for row in rows[:4]]
        raise SetupError(
            f"the server numbered {count} vectors {str(indices)[:80]}, not 0..{count - 1}: which"
            " is whose cannot be told"
        )
    vectors = [_vector(numbered[n].get("embedding")) for n in range(count)]
    wanted = dimension or len(vectors[0])
    wrong = [len(vector_D) for vector_D in vectors if len(vector_D) != wanted]
    if wrong:
        raise SetupError(
            f"the server answered with a vector of {wrong[0]} components, not {wanted}: is it"
            " another model?"
        )
    return np.stack(vectors)


def _vector(value: object) -> Float32:
    """One row [D], finite and not zero."""
    try:
        if isinstance(value, str):
            vector_D = np.frombuffer(base64.b64decode(value, validate=True), "<f4")
        else:
            with np.errstate(over="ignore"):  # too large becomes infinite, which is refused below
                vector_D = np.array(value, np.float64).astype(np.float32)
    except (ValueError, TypeError, OverflowError):
        raise SetupError("the server's vector is no row of numbers: is it an embedder?") from None
    if vector_D.ndim != 1 or not len(vector_D):
        raise SetupError(
            f"the server's vector has shape {list(vector_D.shape)}: let it pool to one an input"
        )
    if not np.isfinite(vector_D).all() or not vector_D.any():
        raise SetupError("the server's vector holds NaN or infinity, or is zero: look at its log")
    return np.asarray(vector_D, np.float32)
