"""Videos and texts that find each other in one gallery, where each video has one text."""

from collections.abc import Sequence

import numpy as np

from kinoscope.evaluation.metrics import ranks, recall_at, tied
from kinoscope.evaluation.metrics.intervals import redrawn
from kinoscope.evaluation.tasks.protocol import TaskResult
from kinoscope.evaluation.world.values import Figures, by_video, figures_of
from kinoscope.types import Float32, Int64

CUTOFFS = (1, 5, 10)


def retrieval(texts_ND: Float32, videos_ND: Float32, keys: Sequence[str]) -> Figures:
    """Metrics and details of `retrieved`."""
    return figures_of(retrieved(texts_ND, videos_ND, keys))


def retrieved(texts_ND: Float32, videos_ND: Float32, keys: Sequence[str]) -> TaskResult:
    """`t2v_r1`, `t2v_r5`, `t2v_r10`, `t2v_mdr` and `v2t_r1`; a tie counts against the query.

    Args:
        texts_ND: unit vectors; text i is of video i.
        videos_ND: unit vectors of the gallery.
        keys: names of the videos.

    Details: the share of ties each way, chance, and mean ranks.
    """
    found, back = own_ranks(texts_ND, videos_ND), own_ranks(videos_ND, texts_ND)
    values = {f"t2v_r{k}": by_video(keys, recall_at(k, found)) for k in CUTOFFS}
    values["v2t_r1"] = by_video(keys, recall_at(1, back))
    median = redrawn(lambda rows_N: np.array([np.median(found[rows_N])]), len(found))
    own = [[n] for n in range(len(found))]
    details: dict[str, object] = {
        "gallery": len(found),
        "chance_r1": 1 / len(found),
        "t2v_mean_rank": float(found.mean()),
        "v2t_r5": float(recall_at(5, back).mean()),
        "v2t_r10": float(recall_at(10, back).mean()),
        "t2v_tied": float(tied(texts_ND @ videos_ND.T, own).mean()),
        "v2t_tied": float(tied(videos_ND @ texts_ND.T, own).mean()),
    }
    return TaskResult(values=values, figures=median.metrics(["t2v_mdr"]), protocol=details)


def own_ranks(queries_ND: Float32, items_ND: Float32) -> Int64:
    """From 1, of item i for query i [N]."""
    return ranks(queries_ND @ items_ND.T, [[n] for n in range(len(queries_ND))])
