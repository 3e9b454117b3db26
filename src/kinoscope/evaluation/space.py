"""The shape of an embedding space: the gap between videos and texts, and how well it is filled.

Rows are unit vectors; row i of the videos belongs to row i of the texts. All of it is computed in
float64 and says nothing of retrieval: a gap may close while retrieval does not move.
"""

from dataclasses import dataclass

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.types import Float32, Float64, check_vectors

_HEAT = 2.0
"""t of uniformity, as in its paper."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """Figures of one model's space.

    Attributes:
        gap: norm of the difference of the two means, 0..2 (TARA, arXiv 2512.13511).
        alignment: mean squared distance of a video from its own text, 0..4; less is better
            (arXiv 2005.10242).
        video_uniformity, text_uniformity: log of the mean of exp(-2 |x - y|^2) over all pairs of a
            cloud, 0 where all are equal; less is better spread (the same).
        video_rank, text_rank: exp of the entropy of the cloud's spectrum about its mean: in how
            many directions it varies (Roy and Vetterli 2007).
    """

    gap: float
    alignment: float
    video_uniformity: float
    text_uniformity: float
    video_rank: float
    text_rank: float


def space_of(videos_ND: Float32, texts_ND: Float32) -> Space:
    """All figures; `UsageError` for rows that do not belong together, or fewer than two."""
    if videos_ND.shape != texts_ND.shape or len(videos_ND) < 2:
        raise UsageError(
            f"videos {list(videos_ND.shape)} and texts {list(texts_ND.shape)}: give a text a video,"
            " at least two"
        )
    return Space(
        gap=modality_gap(videos_ND, texts_ND),
        alignment=alignment(videos_ND, texts_ND),
        video_uniformity=uniformity(videos_ND),
        text_uniformity=uniformity(texts_ND),
        video_rank=effective_rank(videos_ND),
        text_rank=effective_rank(texts_ND),
    )


def modality_gap(videos_ND: Float32, texts_MD: Float32) -> float:
    """|mean of videos - mean of texts|; the clouds may differ in size."""
    one_ND, other_MD = _checked(videos_ND), _checked(texts_MD)
    if one_ND.shape[1] != other_MD.shape[1]:
        raise UsageError(f"vectors of {one_ND.shape[1]} and {other_MD.shape[1]} components")
    return float(np.linalg.norm(one_ND.mean(axis=0) - other_MD.mean(axis=0)))


def alignment(videos_ND: Float32, texts_ND: Float32) -> float:
    """Mean of |video i - text i|^2; `UsageError` for unlike shapes."""
    if videos_ND.shape != texts_ND.shape:
        raise UsageError(f"{list(videos_ND.shape)} and {list(texts_ND.shape)}: give pairs of rows")
    apart_ND = _checked(videos_ND) - _checked(texts_ND)
    return float(np.square(apart_ND).sum(axis=1).mean())


def uniformity(rows_ND: Float32) -> float:
    """log mean exp(-2 |x - y|^2) over pairs of different rows; `UsageError` for a single one."""
    wide_ND = _checked(rows_ND)
    if len(wide_ND) < 2:
        raise UsageError("one vector is no cloud: give two or more")
    cosines_NN = wide_ND @ wide_ND.T
    squares_N = np.diag(cosines_NN)
    apart_NN = np.maximum(squares_N[:, None] + squares_N[None, :] - 2 * cosines_NN, 0.0)
    pairs = np.triu_indices(len(wide_ND), k=1)
    return float(np.log(np.exp(-_HEAT * apart_NN[pairs]).mean()))


def effective_rank(rows_ND: Float32) -> float:
    """exp(-sum p log p), p the shares of the singular values of the rows less their mean.

    1 to min(N - 1, D); 0 for a cloud that is a point.
    """
    wide_ND = _checked(rows_ND)
    values_K = np.linalg.svd(wide_ND - wide_ND.mean(axis=0), compute_uv=False)
    if values_K[0] < 1e-9 * np.sqrt(wide_ND.size):
        return 0.0
    shares_K = values_K / values_K.sum()
    some_K = shares_K[shares_K > 1e-15]
    return float(np.exp(-(some_K * np.log(some_K)).sum()))


def projected(videos_ND: Float32, texts_MD: Float32) -> tuple[Float64, Float64]:
    """Both clouds [N, 2] and [M, 2] on the two directions in which they together vary most.

    Principal components about the common mean; of each the heaviest direction is positive, so that
    the picture is the same each time. A second direction that does not exist is 0.
    """
    both_KD = np.concatenate([_checked(videos_ND), _checked(texts_MD)])
    centred_KD = both_KD - both_KD.mean(axis=0)
    directions_KD = np.linalg.svd(centred_KD, full_matrices=False)[2][:2]
    heaviest_K = np.abs(directions_KD).argmax(axis=1)
    signs_K = np.sign(directions_KD[np.arange(len(directions_KD)), heaviest_K])
    flat_KP = centred_KD @ (directions_KD * signs_K[:, None]).T
    flat_K2 = np.zeros((len(both_KD), 2))
    flat_K2[:, : flat_KP.shape[1]] = flat_KP
    return flat_K2[: len(videos_ND)], flat_K2[len(videos_ND) :]


def _checked(rows_ND: Float32) -> Float64:
    if rows_ND.ndim != 2 or not len(rows_ND):
        raise UsageError(f"vectors {list(rows_ND.shape)}: give rows [N, D], at least one")
    check_vectors(rows_ND)
    return rows_ND.astype(np.float64)
