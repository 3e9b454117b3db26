"""Large contrastive batches in the memory of small ones: rows first, their graphs one by one later.

A contrast wants all rows of a batch at once, but not all the graphs that made them. Chunks are
encoded without keeping what their gradients need; the loss is taken on all rows; then each chunk is
encoded again, with the same random numbers, to carry the rows' gradient on, and let go
(GradCache, arXiv 2101.06983, section 3).
"""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
from torch.utils.checkpoint import checkpoint

Chunk = TypeVar("Chunk")


def cached_rows(encode: Callable[[Chunk], Any], chunks: Iterable[Chunk]) -> Any:
    """Rows [N, D] of all chunks, in their order, with the gradient of a direct pass.

    Each chunk is encoded once now and, where a gradient is wanted, once more in the backward pass:
    memory holds all rows and the graph of one chunk, at a third more work. Dropout is the same in
    both, as all random numbers of torch are; those of numpy and of Python are not.

    Args:
        encode: rows [B, D] of a chunk; must not change what it reads, the chunk or a buffer.
        chunks: what `encode` takes; they stay in memory until the backward pass.
    """
    return torch.cat([checkpoint(encode, chunk, use_reentrant=False) for chunk in chunks])
