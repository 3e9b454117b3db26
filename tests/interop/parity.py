"""An embedder beside its sentence-transformers export: the least cosine of their vectors."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from kinoscope import Embedder, libraries
from kinoscope.interop.sentence_transformers import export, video_input
from kinoscope.types import Float32, Frames
from tests.tiny import moving_frames

TEXTS = (
    "a dog runs on the beach",
    "two dogs play with a ball near the water, then the door closes and someone looks outside",
    "quotes \" and ' and {{ braces }} {% if %}\nwith a line break",
    "für \u65e5\u672c \U0001f600",
)
CONTROL = "control words <|im_end|> <image> <video> <|endoftext|>"
EDITS = ("at night", "with a red car instead")
SHAPES = ((8, 96, 128), (5, 64, 160), (2, 128, 96))  # frames, height, width
ROLES = ("query", "document")

Inputs = Mapping[str, tuple[list[Any], list[Any]]]
"""Ours and theirs, by modality."""


def clips() -> list[Frames]:
    """Videos of several lengths and shapes."""
    return [moving_frames(*shape, seed) for seed, shape in enumerate(SHAPES)]


def load_sentence_transformer(folder: Path) -> Any:
    """What a user of sentence-transformers gets, without code from the folder."""
    libraries.transformers()
    library = libraries.imported("sentence_transformers")
    return library.SentenceTransformer(str(folder), device="cpu", local_files_only=True)


def inputs(texts: tuple[str, ...] = (*TEXTS, CONTROL)) -> Inputs:
    """The same inputs in both forms; a picture stands before its edit."""
    videos, images = clips(), [clip.take([0]) for clip in clips()]
    theirs = [video_input(video) for video in videos]
    pixels = [image.rgb_FHWC[0] for image in images]
    return {
        "text": ([{"text": text} for text in texts], list(texts)),
        "image": ([{"image": image} for image in images], pixels),
        "video": ([{"video": video} for video in videos], theirs),
        "composed": (
            [{"video": video, "text": edit} for video in videos for edit in EDITS],
            [{"video": video, "text": edit} for video in theirs for edit in EDITS],
        ),
        "composed image": (
            [{"image": image, "text": EDITS[0]} for image in images],
            [{"image": image, "text": EDITS[0]} for image in pixels],
        ),
    }


def least_cosines(embedder: Embedder, model: Any, given: Inputs | None = None) -> dict[str, float]:
    """By modality, over queries and documents; theirs one by one."""
    found = {}
    for modality, (ours, theirs) in (given or inputs()).items():
        found[modality] = min(
            least_cosine(
                getattr(embedder, f"encode_{role}")(ours),
                getattr(model, f"encode_{role}")(theirs, batch_size=1),
            )
            for role in ROLES
        )
    return found


def parity(folder_of_tiny: Path) -> dict[str, float]:
    """Least cosine by modality of an embedder and its export, for a checkpoint's folder."""
    embedder = Embedder.load(str(folder_of_tiny))
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "exported"
        export(embedder, folder)
        return least_cosines(embedder, load_sentence_transformer(folder))


def least_cosine(a_ND: Float32, b_ND: Float32) -> float:
    """Of the first with the first, the second with the second."""
    lengths_N = np.linalg.norm(a_ND, axis=1) * np.linalg.norm(b_ND, axis=1)
    return float(((a_ND * b_ND).sum(axis=1) / lengths_N).min())


def greatest_cosine(vectors_ND: Float32) -> float:
    """Of any two rows: near 1 a comparison would prove nothing."""
    cosines_NN = vectors_ND @ vectors_ND.T
    return float(cosines_NN[~np.eye(len(vectors_ND), dtype=bool)].max())
