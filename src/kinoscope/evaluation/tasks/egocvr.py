"""EgoCVR: a clip and an instruction ask among all clips or those of a film (arXiv 2407.16658)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.tasks.composed import judged
from kinoscope.evaluation.tasks.egocvr_files import CUTOFFS, place_of, read_clips, read_queries
from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import (
    Benchmark,
    Files,
    Film,
    Model,
    Options,
    TaskResult,
)
from kinoscope.evaluation.tasks.rankings import Rankings
from kinoscope.types import Bool, Int64

_LEAST = 2
"""Clips of a gallery: the authors ask nothing in a smaller one."""


def run(files: Files, model: Model, options: Options) -> TaskResult:
    """R@1, 5, 10 in each query's global gallery and R@1, 2, 3 in its local one."""
    found = Films(files["videos"], files["annotations"], options.limit)
    clips = read_clips(files, found)
    asked = {each.query.name: each for each in read_queries(files, found, clips)}
    lost = found.rows_without_video
    lists = [numbers for each in asked.values() for numbers in each.clips.values()]
    wanted = np.unique(np.concatenate([np.zeros(0, np.int64), *lists]))
    films = _present(found, [clips[number] for number in wanted])
    encoder = Encoder(model)
    answered = judged([e.query for e in asked.values()], list(films.values()), encoder, found)
    readable = [name for name, film in films.items() if film.id not in encoder.failed]
    column_of = _columns(clips, readable)
    values: dict[str, PerQuery] = {}
    rankings: dict[str, Rankings] = {}
    protocol: dict[str, object] = {"clips": len(readable), "own_source": "masked"}
    for kind, cutoffs in CUTOFFS.items():
        numbers = [asked[name].clips[kind] for name in answered.queries]
        shown_QN = np.asarray(answered.shown_QN) & _inside(numbers, column_of, len(readable))
        right = [
            [item for item in items if shown_QN[query, item]]
            for query, items in enumerate(answered.positives)
        ]
        kept = [q for q, items in enumerate(right) if items and shown_QN[q].sum() >= _LEAST]
        protocol[f"{kind}_queries"] = len(kept)
        protocol[f"{kind}_not_asked"] = len(right) - len(kept)
        if kept:
            part = replace(answered, positives=right, shown_QN=shown_QN).only(kept)
            part = part.scored(options)
            values |= part.recalls(kind, cutoffs)
            rankings[kind] = part.rankings()
    left_out = found.left_out(encoder, lost + len(asked) - len(answered.queries))
    return TaskResult(values=values, protocol=protocol, left_out=left_out, rankings=rankings)


def _present(found: Films, names: Sequence[str]) -> dict[str, Film]:
    """Clips of galleries that are there; the others are noted."""
    films = {}
    for name in names:
        with found.problems.at(f"clip {name}"):
            films[name] = found.find(name, place_of(name))
    return films


def _columns(clips: Sequence[str], readable: Sequence[str]) -> Int64:
    """Of each clip [C], its column among those that can be read; -1 for the others."""
    column = {name: number for number, name in enumerate(readable)}
    return np.array([column.get(name, -1) for name in clips], np.int64)


def _inside(numbers: Sequence[Int64], column_of: Int64, width: int) -> Bool:
    shown_QN = np.zeros((len(numbers), width), np.bool_)
    for row_N, own in zip(shown_QN, numbers, strict=True):
        columns = column_of[own]
        row_N[columns[columns >= 0]] = True
    return shown_QN


BENCHMARKS: Mapping[str, Benchmark] = {
    "egocvr": Benchmark(
        files={
            "annotations": "egocvr_annotations_gallery.csv",
            "clips": "egocvr_data.csv",
            "videos": "clips",
        },
        run=run,
        source="arXiv 2407.16658",
        galleries=True,
    )
}
