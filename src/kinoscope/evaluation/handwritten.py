"""Handwritten sentence triples: how often the right sentence is nearer than the wrong one.

A file has a triple a line, anchor, right and wrong with tabs between; `#` begins a remark.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.margins import margins
from kinoscope.training.sources.problems import Problems
from kinoscope.training.sources.rows import text_lines
from kinoscope.types import Float32, Float64

NUANCES = ("time", "negation", "order")


@dataclass(frozen=True)
class Triple:
    """Three sentences, of which `right` says what the anchor says and `wrong` does not."""

    anchor: str
    right: str
    wrong: str


def read_handwritten(file: Path) -> tuple[Triple, ...]:
    """All triples of a file; `UsageError`, naming the line, for one that is not three sentences."""
    found = []
    for where, line in text_lines(file, Problems(file.name, strict=True)):
        if line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("\t")]
        if len(parts) != 3 or not all(parts) or len(set(parts)) != 3:
            raise UsageError(
                f"{file.name}, {where}: {line[:60]!r}: write three unlike sentences, tabs between"
            )
        found.append(Triple(*parts))
    if not found:
        raise UsageError(f"{file} has no triple: write one a line")
    return tuple(found)


def right_is_nearer(anchors_ND: Float32, right_ND: Float32, wrong_ND: Float32) -> Float64:
    """1.0 for each triple whose right sentence is nearer to its anchor by cosine, else 0.0: [N].

    Vectors are of unit length, one row a triple. A tie counts against us; chance is one half.
    Raises `UsageError` for vectors of unlike shapes or none.
    """
    return (margins(anchors_ND, right_ND, wrong_ND) > 0).astype(np.float64)


def accuracy_on(triples: Sequence[Triple], embed: Callable[[Sequence[str]], Float32]) -> Float64:
    """`right_is_nearer` for a text embedder, which returns a unit vector [N, D] a sentence."""
    texts = [text for one in triples for text in (one.anchor, one.right, one.wrong)]
    unique = list(dict.fromkeys(texts))
    vectors_ND = embed(unique)
    if len(vectors_ND) != len(unique):
        raise UsageError(f"{len(vectors_ND)} vectors of {len(unique)} texts: give one each")
    place = {text: number for number, text in enumerate(unique)}
    rows_NK = np.array([place[text] for text in texts]).reshape(-1, 3)
    return right_is_nearer(*(vectors_ND[rows_NK[:, column]] for column in range(3)))
