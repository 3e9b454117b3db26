"""CiA: pairs of temporally opposite actions, in three galleries, both ways (arXiv 2512.13511)."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from kinoscope.evaluation.metrics import PerQuery
from kinoscope.evaluation.tasks.actions import read
from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.protocol import (
    USUAL,
    Benchmark,
    Files,
    Model,
    Options,
    TaskResult,
)
from kinoscope.evaluation.tasks.recalls import Asked
from kinoscope.types import Bool, Float32

GALLERIES = ("chiral", "static", "all")


def galleries(ids: list[str]) -> Iterator[tuple[str, Bool]]:
    """For each gallery, which texts' videos a text is asked among [T, T], its own included."""
    groups, labels = (np.array([i.rpartition("_")[part] for i in ids]) for part in (0, 2))
    same, alike = groups[:, None] == groups, labels[:, None] == labels
    mine = np.eye(len(ids), dtype=np.bool_)
    yield from zip(GALLERIES, (same, alike, np.ones_like(mine)), strict=True)


def run(dataset: str, files: Files, model: Model, options: Options) -> TaskResult:
    """R@1, 5, 10 and mAP of text to video and of video to text, in each gallery.

    `ceiling` has what perfect scores reach: equal texts of two groups tie.
    """
    data = read(dataset, files, options.limit)
    encoder = Encoder(model)
    films = list(data.films)
    videos = encoder.films(films)
    ids = list(dict.fromkeys(data.films[films[place]] for place in videos.places))
    own = [ids.index(data.films[films[place]]) for place in videos.places]
    texts_TD = encoder.texts([data.texts[name] for name in ids])
    names = [films[place].id for place in videos.places]
    said = np.array([data.texts[name] for name in ids])
    perfect_TV = (said[:, None] == said[own]).astype(np.float32)
    asked, lonely = _asked(texts_TD @ videos.vectors_ND.T, ids, own, names, options)
    best = _values(_asked(perfect_TV, ids, own, names, USUAL)[0])
    protocol: dict[str, object] = {
        "texts": len(ids),
        "videos": len(names),
        "groups": len({name.rpartition("_")[0] for name in ids}),
        "ceiling": {name: each.metric.value for name, each in best.items() if "tied" not in name},
        "texts_alone_in_a_gallery": lonely,
    }
    left_out = data.found.left_out(encoder, data.found.rows_without_video + len(films) - len(names))
    return TaskResult(
        values=_values(asked),
        protocol=protocol,
        left_out=left_out,
        rankings={name: each.rankings() for name, each in asked.items()},
    )


def _asked(
    scores_TV: Float32, ids: list[str], own: list[int], names: list[str], options: Options
) -> tuple[dict[str, Asked], dict[str, int]]:
    """Each gallery both ways, and how many texts are alone in it, which are not asked.

    Queries of text to video are clustered by group, those of video to text by video.
    """
    of_text = defaultdict(list)
    for video, text in enumerate(own):
        of_text[text].append(video)
    groups = [name.rpartition("_")[0] for name in ids]
    found: dict[str, Asked] = {}
    lonely = {}
    for gallery, shown_TT in galleries(ids):
        t2v = Asked(
            scores_QN=scores_TV, positives=[of_text[text] for text in range(len(ids))],
            queries=ids, videos=groups, items=names, shown_QN=shown_TT[:, own],
        )  # fmt: skip
        v2t = Asked(
            scores_QN=np.asarray(scores_TV.T), positives=[[text] for text in own],
            queries=names, videos=names, items=ids, shown_QN=shown_TT[own],
        )  # fmt: skip
        several_T = shown_TT.sum(axis=1) > 1
        lonely[gallery] = int((~several_T).sum())
        for way, asked, kept in (("t2v", t2v, several_T), ("v2t", v2t, several_T[own])):
            if kept.any():
                some = asked.scored(options).only(np.flatnonzero(kept).tolist())
                found[f"{gallery}_{way}"] = some
    return found, lonely


def _values(asked: Mapping[str, Asked]) -> dict[str, PerQuery]:
    values: dict[str, PerQuery] = {}
    for name, each in asked.items():
        values |= each.recalls(name) | {f"{name}_map": each.precisions()}
    return values


BENCHMARKS: Mapping[str, Benchmark] = {
    f"cia-{dataset}": Benchmark(
        files={
            "inputs": "nuanced_retrieval_inputs-test.csv",
            "labels": "nuanced_retrieval_labels-test.json",
            "videos": "videos",
        },
        run=partial(run, dataset),
        source="arXiv 2512.13511",
        galleries=True,
    )
    for dataset in ("ssv2", "epic", "charades")
}
