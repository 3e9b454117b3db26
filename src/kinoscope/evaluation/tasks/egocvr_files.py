"""EgoCVR's files: its clips, and queries with their galleries."""

import ast
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.evaluation.tasks.composed import Edited
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import Files
from kinoscope.training.sources import fields
from kinoscope.training.sources.problems import Unfit
from kinoscope.training.sources.rows import csv_rows
from kinoscope.types import Int64

CUTOFFS: Mapping[str, Sequence[int]] = {"global": (1, 5, 10), "local": (1, 2, 3)}
"""Ranks that the authors count, by kind of gallery."""


@dataclass(frozen=True, eq=False)
class Listed:
    """A query, and by kind of gallery the numbers of its clips."""

    query: Edited
    clips: Mapping[str, Int64]


def read_clips(files: Files, found: Films) -> list[str]:
    """Ids of all clips, in the order in which galleries number them."""
    rows = csv_rows(files["clips"], found.problems, needed=["clip_name"])
    return [row["clip_name"] for _, row in rows]


def read_queries(files: Files, found: Films, clips: Sequence[str]) -> Iterator[Listed]:
    """Rows of annotations with `global_idx` and `local_idx`: row numbers in the list of clips."""
    known = frozenset(clips)
    needed = ["video_clip_id", "target_clip_ids", "instruction", "global_idx", "local_idx"]
    for where, row in csv_rows(files["annotations"], found.problems, needed=needed):
        with found.problems.at(where):
            names = [row["video_clip_id"], *_targets(row["target_clip_ids"])]
            unknown = [name for name in names if name not in known]
            if unknown:
                raise Unfit("id", f"{unknown[0][:80]!r} is no clip of {files['clips'].name}")
            source, *targets = (found.find(name, place_of(name)) for name in names)
            edit = fields.text(row["instruction"], "the instruction")
            query = Edited(f"{source.id}#{where.split()[-1]}", source, edit, tuple(targets))
            numbers = {kind: _numbers(row[f"{kind}_idx"], len(clips)) for kind in CUTOFFS}
            yield Listed(query, numbers)


def place_of(clip: str) -> str:
    """Clips lie in a folder a film: `UID_971_980` in `UID`."""
    return f"{clip.split('_')[0]}/{clip}"


def _targets(said: str) -> list[str]:
    try:
        found = ast.literal_eval(said)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        found = None
    if not isinstance(found, list) or not found:
        raise Unfit("type", f"targets {said[:60]!r}: give a list of clip ids")
    return [fields.text(name, "a target") for name in found]


def _numbers(said: str, count: int) -> Int64:
    try:
        found = np.array(json.loads(said), np.int64)
    except (ValueError, OverflowError, TypeError, RecursionError):
        found = np.zeros((0, 0), np.int64)
    if found.ndim != 1 or ((found < 0) | (found >= count)).any():
        raise Unfit("id", f"gallery {said[:60]!r}: give a list of row numbers below {count}")
    return found
