"""Heads that turn token states into one unit vector."""

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.types import Float32, States


def mean_pool(states: States) -> Float32:
    """Mean over real tokens, then unit length: States [B, T, D] -> float32 [B, D]."""
    weights_BT1 = states.mask_BT[..., None].astype(np.float32)
    total_BD = (states.states_BTD * weights_BT1).sum(axis=1)
    return normalise(total_BD / weights_BT1.sum(axis=1))


def normalise(vectors_ND: Float32) -> Float32:
    """Scales each row of [N, D] to unit length; a zero or non-finite row is our error."""
    lengths_N1 = np.linalg.norm(vectors_ND, axis=1, keepdims=True)
    assert (lengths_N1 > 0).all() and np.isfinite(lengths_N1).all(), "a vector without direction"
    return np.asarray(vectors_ND / lengths_N1, dtype=np.float32)


def truncate(vectors_ND: Float32, dimension: int) -> Float32:
    """Keeps the first `dimension` of D components and renormalises (Matryoshka use).

    Raises `UsageError` unless 1 <= dimension <= D.
    """
    if not 1 <= dimension <= vectors_ND.shape[1]:
        raise UsageError(f"truncate_dim {dimension}: choose 1..{vectors_ND.shape[1]}")
    if dimension == vectors_ND.shape[1]:
        return vectors_ND
    return normalise(vectors_ND[:, :dimension])
