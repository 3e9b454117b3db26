"""Composed queries: a video and an edit look for the edited video, the source itself masked.

The protocol of WebVid-CoVR, in a gallery of all sources and all targets: each query's own source,
nearest of all to a model that does not read the edit, is taken out. Baselines: the edit alone, the
video alone, the sum of both vectors.
"""

from collections.abc import Sequence

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.evaluation.metrics import ranks, recall_at
from kinoscope.evaluation.tasks.protocol import TaskResult
from kinoscope.evaluation.world.edited import EditedSource
from kinoscope.evaluation.world.retrieval import CUTOFFS
from kinoscope.evaluation.world.values import Figures, by_video, figures_of
from kinoscope.evaluation.world.vectors import embed, embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.heads import normalise
from kinoscope.types import Content, Float32, Int64

_MASKED = -2.0
"""Below every cosine, yet finite: 0 would be a fair score."""


def composed(model: Backbone, sources: WorldVideos, targets: WorldVideos) -> Figures:
    """Metrics and details of `looked_for`."""
    return figures_of(looked_for(model, sources, targets))


def looked_for(model: Backbone, sources: WorldVideos, targets: WorldVideos) -> TaskResult:
    """`composed_r1`, `_r5`, `_r10`; `composed_text_only`, `_video_only`, `_sum`: R@1 of baselines.

    Video i of the targets is the edited video i of the sources. A tie counts against the query.
    Details: gallery, chance, and R@1 by kind of edit.
    """
    known = targets.source
    assert isinstance(known, EditedSource) and len(sources) == len(targets), known
    edits = [known.edit(number) for number in range(len(targets))]
    sources_QD = embed_clips(model, sources.clips())
    texts_QD = embed_texts(model, (edit.text for edit in edits))
    both_QD = embed(
        model,
        (
            Content(clip=clip, text=edit.text, role="query")
            for clip, edit in zip(sources.clips(), edits, strict=True)
        ),
    )
    gallery_ND = np.concatenate([sources_QD, embed_clips(model, targets.clips())])
    queries = {
        "": both_QD,
        "text_only": texts_QD,
        "video_only": sources_QD,
        "sum": normalise(sources_QD + texts_QD),
    }
    found = {name: target_ranks(rows_QD, gallery_ND) for name, rows_QD in queries.items()}
    keys = sources.keys
    values = {f"composed_r{k}": by_video(keys, recall_at(k, found[""])) for k in CUTOFFS}
    for name in queries:
        if name:
            values[f"composed_{name}"] = by_video(keys, recall_at(1, found[name]))
    details: dict[str, object] = {
        "gallery": len(gallery_ND),
        "chance_r1": 1 / (len(gallery_ND) - 1),
        "by_kind": _by_kind([edit.kind for edit in edits], found[""]),
    }
    return TaskResult(values=values, protocol=details)


def target_ranks(queries_QD: Float32, gallery_ND: Float32) -> Int64:
    """Ranks [Q] of query i's target in a gallery of Q sources, then Q targets; source i masked."""
    count = len(queries_QD)
    assert len(gallery_ND) == 2 * count, (queries_QD.shape, gallery_ND.shape)
    scores_QN = (queries_QD @ gallery_ND.T).astype(np.float64)
    scores_QN[np.arange(count), np.arange(count)] = _MASKED
    return ranks(scores_QN, [[count + number] for number in range(count)])


def _by_kind(kinds: Sequence[str], ranks_Q: Int64) -> dict[str, dict[str, float]]:
    named = np.array(kinds)
    return {
        str(kind): {
            "n": int((named == kind).sum()),
            "r1": round(float(recall_at(1, ranks_Q[named == kind]).mean()), 4),
        }
        for kind in sorted(set(kinds))
    }
