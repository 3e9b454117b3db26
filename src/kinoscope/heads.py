"""Heads that turn token states into one unit vector."""

import numpy as np
import numpy.typing as npt

from kinoscope.errors import UsageError
from kinoscope.types import Float32, States


def last_token(states: States) -> Float32:
    """The last real token, then unit length: States [B, T, D] -> float32 [B, D].

    Padding may stand on either side, or between.
    """
    mask_BT = states.mask_BT
    last_B = mask_BT.shape[1] - 1 - mask_BT[:, ::-1].argmax(axis=1)
    return normalise(states.states_BTD[np.arange(len(mask_BT)), last_B].astype(np.float64))


def mean_pool(states: States) -> Float32:
    """Mean over real tokens, then unit length: States [B, T, D] -> float32 [B, D].

    What stands where the mask is false does not count, be it NaN.
    """
    real_BT1 = states.mask_BT[..., None]
    total_BD = states.states_BTD.sum(axis=1, where=real_BT1, dtype=np.float64)
    return normalise(total_BD / real_BT1.sum(axis=1))


HEADS = {"mean": mean_pool, "last": last_token}
"""By the first word of a spec's `head`."""


def normalise(vectors_ND: npt.NDArray[np.floating]) -> Float32:
    """Scales each row of [N, D] to unit length; a zero or non-finite row is our error."""
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    assert (lengths_N1 > 0).all() and np.isfinite(lengths_N1).all(), "a vector without direction"
    return np.asarray(vectors_ND / lengths_N1, dtype=np.float32)


def truncate(vectors_ND: Float32, dimension: int) -> Float32:
    """Keeps the first `dimension` of D components and renormalises (Matryoshka use).

    Raises `UsageError` unless 1 <= dimension <= D.
    """
    available = vectors_ND.shape[1]
    check_dimension(dimension, available)
    return vectors_ND if dimension == available else normalise(vectors_ND[:, :dimension])


def check_dimension(dimension: int, available: int) -> None:
    """Raises `UsageError` unless a vector of `available` components can be cut to `dimension`."""
    if not 1 <= dimension <= available:
        raise UsageError(f"truncate_dim {dimension}: choose 1..{available}")
