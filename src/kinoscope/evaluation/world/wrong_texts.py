"""A video between a true text and one that is wrong in one fact, told apart by cosine alone.

The same texts as `matching`, for vectors: all of a video's pairs, by the fact that is wrong. Order
of events and manner are two of them.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import mean_with_interval
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.world.matching import Pair
from kinoscope.evaluation.world.vectors import embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.types import Float32, Float64

NAMES = {"order": "order_accuracy", "manner": "adverb_accuracy", "direction": "direction_accuracy"}
"""Figures of their own; all kinds stand in the details."""


def all_pairs_of(videos: WorldVideos) -> list[Pair]:
    """Every wrong text of every video."""
    return [
        Pair(video=number, key=example.key, kind=one.why, true=one.true, wrong=one.wrong)
        for number, example in enumerate(videos.examples())
        for one in example.mismatches
    ]


def wrong_texts(
    model: Backbone, pairs: Sequence[Pair], clips_ND: Float32
) -> tuple[dict[str, Metric], dict[str, object]]:
    """Figures of `NAMES`, each a share of pairs whose true text is nearer; a tie is wrong.

    Chance is one half. Details: accuracy and number of pairs by kind.

    Args:
        model: embeds texts.
        pairs: of videos by their row.
        clips_ND: unit vectors of the videos.
    """
    if not pairs:
        raise UsageError("no video has a wrong text: take more of them")
    texts_MD = embed_texts(model, (text for pair in pairs for text in (pair.true, pair.wrong)))
    own_PD = clips_ND[[pair.video for pair in pairs]]
    right_P = true_is_nearer(own_PD, texts_MD[0::2], texts_MD[1::2])
    kinds = np.array([pair.kind for pair in pairs])
    metrics = {}
    for kind, name in NAMES.items():
        some = np.flatnonzero(kinds == kind)
        if len(some):
            metrics[name] = mean_with_interval(right_P[some], [pairs[int(n)].key for n in some])
    by_kind = {
        kind: {"n": count, "accuracy": round(float(right_P[kinds == kind].mean()), 4)}
        for kind, count in sorted(Counter(kinds.tolist()).items())
    }
    return metrics, {"chance": 0.5, "by_kind": by_kind}


def true_is_nearer(clips_PD: Float32, true_PD: Float32, wrong_PD: Float32) -> Float64:
    """1.0 where the true text has the greater cosine, else 0.0: [P].

    Raises `UsageError` for a score that is not finite.
    """
    true_P, wrong_P = (
        np.einsum("pd,pd->p", clips_PD, texts_PD, dtype=np.float64)
        for texts_PD in (true_PD, wrong_PD)
    )
    if not np.isfinite(true_P + wrong_P).all():
        raise UsageError("scores of texts are NaN or infinite: mend the model")
    nearer_P: Float64 = (true_P > wrong_P).astype(np.float64)
    return nearer_P
