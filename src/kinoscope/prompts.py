"""Every text template that a model sees, and the hash that goes into the spec."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.types import Kind, Role

CLASS_NAME = "a photo of a {name}"
"""How a class name becomes a sentence for the `concepts` model."""

_MARKER = re.compile(r"(\{media\}|\{text\})")


@dataclass(frozen=True, kw_only=True)
class Template:
    """How each kind of content is put to a multimodal model, before its own chat template.

    `{media}` is the picture or video, `{text}` what the user wrote, `{medium}` the word `image` or
    `video`. Attributes:
        name: what the spec and a saved model call it.
        text, visual, composed: patterns of the user's message by kind.
        query, document: system message by role; None leaves the model's own default.
    """

    name: str
    text: str
    visual: str
    composed: str
    query: str | None = None
    document: str | None = None

    def messages(
        self,
        kind: Kind,
        text: str | None,
        medium: str,
        role: Role = "document",
        *,
        caption: str | None = None,
    ) -> list[dict[str, Any]]:
        """The conversation that a processor's `apply_chat_template` renders.

        Adjacent words are one part: `a dog` and the question after it are a single text. A
        `caption` stands in the place of the picture or video: text alone then trains the prompt.
        """
        pattern = {"text": self.text, "composed": self.composed}.get(kind, self.visual)
        if caption is not None:  # words, unlike pixels, need a space between
            pattern = pattern.replace("{media}{text}", "{media}\n{text}")
        parts: list[dict[str, str]] = []
        for piece in _MARKER.split(pattern.replace("{medium}", medium)):
            if piece == "{media}" and caption is None:
                parts.append({"type": medium})
                continue
            words = {"{media}": caption, "{text}": text}.get(piece, piece) or ""
            if words and parts and parts[-1]["type"] == "text":
                parts[-1] = {"type": "text", "text": parts[-1]["text"] + words}
            elif words:
                parts.append({"type": "text", "text": words})
        user = [{"role": "user", "content": parts}]
        system = self.query if role == "query" else self.document
        if system is None:
            return user
        return [{"role": "system", "content": [{"type": "text", "text": system}]}, *user]


ONE_WORD = Template(
    name="one word",
    text="{text}\nSummary above sentence in one word:",
    visual="{media}\nSummary above {medium} in one word:",
    composed=(
        "Source {medium}: {media}\nEdit instruction: {text}\n"
        "Imagine this edit applied to the {medium} above.\n"
        "Summary of the resulting {medium} in one word:"
    ),
)
"""E5-V's and TARA's prompts: the state of the last prompt token says it in one word."""

INSTRUCTION = Template(
    name="instruction",
    text="{text}",
    visual="{media}",
    composed="{media}{text}",
    query="Retrieve videos or images that match the user's query.",
    document="Represent the user's input.",
)
"""Qwen3-VL-Embedding's form: an instruction as the system message, the bare input after it."""

CHAT = Template(name="chat", text="{text}", visual="{media}", composed="{media}{text}")
"""For generation: what the user wrote, nothing else."""

DESCRIBE = "Describe the video."
DETAIL = "Describe the video in detail."
CHOOSE = "{question} Choose one: {options}."
MATCHES = "Does this describe the video: {text} Answer yes or no."
ANSWERS = ("yes", "no")
"""What a model is asked in words, in training and after it."""

TEMPLATES = {template.name: template for template in (ONE_WORD, INSTRUCTION)}
"""Those that make embeddings."""


def template_named(name: str) -> Template:
    """`UsageError`, naming the known ones, for any other name."""
    if name not in TEMPLATES:
        raise UsageError(f"template {name!r} is unknown: choose {' or '.join(TEMPLATES)}")
    return TEMPLATES[name]


def choice_prompt(question: str, options: Sequence[str]) -> str:
    """A question with its options: `What is it? Choose one: a fox; a cup.`"""
    return CHOOSE.format(question=question, options="; ".join(options))


def prompts_hash(*templates: str) -> str:
    """SHA-256 of templates in order; a change of any character changes it."""
    return hashlib.sha256("\x00".join(templates).encode()).hexdigest()
