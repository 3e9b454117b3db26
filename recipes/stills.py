"""Validation on real-looking pictures that are no sample clips: recall on 112 described stills."""

from collections.abc import Mapping

import numpy as np

from kinoscope.embedder import Embedder
from kinoscope.evaluation.metrics import recall_at
from kinoscope.evaluation.world.retrieval import CUTOFFS, own_ranks
from kinoscope.packages import cache_folder
from kinoscope.types import Float32, Int64, UInt8
from recipes.concepts_choices import STILLS, described_stills, picture_vector

SIDE_PX = 260


def stills() -> tuple[list[str], UInt8]:
    """Prompts and pictures [N, 260, 260, 3] of `described_stills`, kept in the cache."""
    versions = "-".join(package.version for package in STILLS)
    path = cache_folder() / f"described-stills-{versions}.npz"
    if not path.is_file():
        prompts, pictures = described_stills(SIDE_PX)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, prompts=np.array(prompts), rgb_NHWC=np.stack(pictures))
        partial.replace(path)
    with np.load(path, allow_pickle=False) as kept:
        return kept["prompts"].tolist(), kept["rgb_NHWC"]


def still_vectors(embedder: Embedder) -> tuple[Float32, Float32]:
    """Vectors of the prompts and of the pictures, both [N, D]."""
    prompts, rgb_NHWC = stills()
    pictures_ND = np.stack([picture_vector(embedder, rgb_HWC) for rgb_HWC in rgb_NHWC])
    return embedder.encode_query(prompts), pictures_ND


def still_ranks(embedder: Embedder) -> Int64:
    """Rank of each prompt's own picture [N], 1 the best; a tie counts against it."""
    return own_ranks(*still_vectors(embedder))


def still_recalls(embedder: Embedder) -> Mapping[str, float]:
    """`stills_r1`, `stills_r5`, `stills_r10` of any embedder."""
    ranks = still_ranks(embedder)
    return {f"stills_r{k}": float(np.mean(recall_at(k, ranks))) for k in CUTOFFS}
