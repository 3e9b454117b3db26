"""Composed retrieval: a video with an edit asks for another (WebVid-CoVR, arXiv 2308.14746)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kinoscope.errors import UsageError
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
from kinoscope.evaluation.tasks.recalls import Asked
from kinoscope.training.sources import fields
from kinoscope.training.sources.problems import Unfit
from kinoscope.training.sources.rows import csv_rows

CUTOFFS = (1, 5, 10, 50)


@dataclass(frozen=True)
class Edited:
    """A source with an edit, and the films that show the result."""

    name: str
    source: Film
    edit: str
    targets: tuple[Film, ...]


def run(files: Files, model: Model, options: Options) -> TaskResult:
    """R@1, 5, 10, 50 among all targets; each query's own source is no part of its gallery."""
    found = Films(files["videos"], files["pairs"], options.limit)
    queries: dict[tuple[Film, str, Film], Edited] = {}
    for where, row in csv_rows(files["pairs"], found.problems, needed=["pth1", "pth2", "edit"]):
        with found.problems.at(where):
            source, target = found.find(row["pth1"]), found.find(row["pth2"])
            edit = fields.text(row["edit"], "the edit")
            if source == target:
                raise Unfit("same", f"{source.id} is its own target: give another")
            if (source, edit, target) in queries:
                raise Unfit("duplicate", f"{source.id} with this edit was there before: remove it")
            name = f"{source.id}#{where.split()[-1]}"
            queries[source, edit, target] = Edited(name, source, edit, (target,))
    asked = list(queries.values())
    gallery = list(dict.fromkeys(film for each in asked for film in each.targets))
    encoder = Encoder(model)
    answered = judged(asked, gallery, encoder, found).scored(options)
    shown_QN = np.asarray(answered.shown_QN)
    protocol: dict[str, object] = {
        "queries": len(answered.queries),
        "gallery": shown_QN.shape[1],
        "own_source": "masked",
        "sources_masked": int((~shown_QN).sum()),
        "edits_asked_again": len(asked) - len({(e.source, e.edit) for e in asked}),
    }
    left_out = found.left_out(
        encoder, found.rows_without_video + len(asked) - len(answered.queries)
    )
    return TaskResult(
        values=answered.recalls("cvr", CUTOFFS),
        protocol=protocol,
        left_out=left_out,
        rankings={"cvr": answered.rankings()},
    )


def judged(
    asked: Sequence[Edited], gallery: Sequence[Film], encoder: Encoder, found: Films
) -> Asked:
    """Queries that can be read, among the films that can, but their own source."""
    if not asked:
        raise UsageError(f"no query has a source and a target: {found.problems.describe()}")
    films = encoder.films(gallery)
    sources = encoder.composed([e.source for e in asked], [e.edit for e in asked])
    row = {gallery[place]: number for number, place in enumerate(films.places)}
    kept = [
        (number, asked[place])
        for number, place in enumerate(sources.places)
        if any(target in row for target in asked[place].targets)
    ]
    shown_QN = np.ones((len(kept), len(row)), np.bool_)
    for query, (_, each) in enumerate(kept):
        if each.source in row:
            shown_QN[query, row[each.source]] = False
    return Asked(
        scores_QN=sources.vectors_ND[[number for number, _ in kept]] @ films.vectors_ND.T,
        positives=[[row[t] for t in each.targets if t in row] for _, each in kept],
        queries=[each.name for _, each in kept],
        videos=[each.source.id for _, each in kept],
        items=[film.id for film in row],
        shown_QN=shown_QN,
    )


BENCHMARKS: Mapping[str, Benchmark] = {
    "webvid-covr": Benchmark(
        files={"pairs": "webvid8m-covr_test.csv", "videos": "videos"},
        run=run,
        source="arXiv 2308.14746",
        galleries=True,
    ),
    "dense-webvid-covr": Benchmark(
        files={"pairs": "dense-webvid8m-covr_test.csv", "videos": "videos"},
        run=run,
        source="arXiv 2508.14039",
        galleries=True,
    ),
}
