"""Retrieval of the described sample clips by `mini`, against `concepts`; and the default's rule.

    python -m recipes.samples_mini [MODEL]

MODEL is `mini`, a folder with it, or a stage of its training. No clip and no prompt of this set
has been trained on.
"""

import argparse
from collections.abc import Mapping, Sequence

import numpy as np

from kinoscope.backbones.concepts import Concepts
from kinoscope.backbones.mini import SAMPLING
from kinoscope.clips import read_clip
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import (
    chance_recall,
    mean_with_interval,
    paired_p_value,
    recall_at,
    tied,
)
from kinoscope.evaluation.results import Metric, load_result, save_result
from kinoscope.evaluation.sample_clips import Described
from kinoscope.evaluation.world.retrieval import CUTOFFS, own_ranks
from kinoscope.samples import SampleSet, fetch
from kinoscope.types import Float32, Frames, Int64
from kinoscope.weights import model_files
from recipes.concepts_samples import CLIPS_FOLDER, describe
from recipes.measuring import load_model, told_of

SIGNIFICANT = 0.05


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures both models and saves `results/samples_mini.json`."""
    parser = argparse.ArgumentParser(prog="python -m recipes.samples_mini")
    parser.add_argument("model", nargs="?", default="mini")
    model = parser.parse_args(arguments).model
    found = fetch(CLIPS_FOLDER, report=print)
    labeller = Concepts(model_files())
    backbone = load_model(model)
    mini = Embedder(backbone, sampling=SAMPLING)
    metrics: dict[str, Metric] = {}
    details: dict[str, object] = {
        "clips": [clip.file for clip in found.described],
        "model": told_of(model, backbone),
    }
    ranks: list[Int64] = []
    for prefix, embedder in {"": mini, "concepts_": Embedder.load()}.items():
        described = describe(found, embedder, labeller)
        ranks.append(own_ranks(described.queries_ND, described.clips_ND))
        metrics |= recalls(prefix, ranks[-1], described)
        metrics |= sensitivity(prefix, described.clips_ND, backwards(found, embedder))
        details[f"{prefix}ranks"] = ranks[-1].tolist()
        details[f"{prefix}sampling"] = embedder.sampling.describe()
    metrics |= compared(*ranks)
    details["rule"] = rule(metrics)
    save_result("samples_mini", metrics, details=details)
    for name, metric in metrics.items():
        low, value, high = metric.interval
        print(f"{name:>26} {value:.3f} [{low:.3f}, {high:.3f}]")
    print("; ".join(f"{name}: {said}" for name, said in rule(metrics).items()))


def recalls(prefix: str, found: Int64, described: Described) -> dict[str, Metric]:
    """R@k, the median rank, and the share of prompts whose clip ties with another."""
    count = len(found)
    cosines_NN = described.queries_ND @ described.clips_ND.T
    own = [[n] for n in range(count)]
    return {
        **{f"{prefix}r{k}": mean_with_interval(recall_at(k, found), range(count)) for k in CUTOFFS},
        f"{prefix}median_rank": Metric(value=float(np.median(found)), n=count),
        f"{prefix}tie_rate": mean_with_interval(tied(cosines_NN, own), range(count)),
    }


def backwards(found: SampleSet, embedder: Embedder) -> Float32:
    """Vectors [N, D] of the described clips played backwards, through the same frames."""
    reversed_clips = []
    for clip in found.described:
        frames = read_clip(found.folder / clip.file, embedder.sampling)
        times_F = frames.times_F
        mirrored_F = np.ascontiguousarray(times_F[0] + times_F[-1] - times_F[::-1])
        reversed_clips.append(Frames(np.ascontiguousarray(frames.rgb_FHWC[::-1]), mirrored_F))
    return embedder.encode_document(reversed_clips)


def sensitivity(prefix: str, clips_ND: Float32, backward_ND: Float32) -> dict[str, Metric]:
    """How far reversal moves a clip's vector, and as a share of how far other clips are.

    0 for a model that sees no order; distances are 1 - cosine.
    """
    count = len(clips_ND)
    cosines_NN = clips_ND.astype(np.float64) @ clips_ND.T
    others_N = (count - cosines_NN.sum(axis=1) - (1 - np.diag(cosines_NN))) / (count - 1)
    moved_N = 1 - (clips_ND.astype(np.float64) * backward_ND).sum(axis=1)
    return {
        f"{prefix}reversal_distance": mean_with_interval(moved_N, range(count)),
        f"{prefix}reversal_share": mean_with_interval(moved_N / others_N, range(count)),
    }


def compared(mini_ranks: Int64, concepts_ranks: Int64) -> dict[str, Metric]:
    """Two-sided p-values that both differ in R@k: a permutation test on the same prompts."""
    count = len(mini_ranks)
    p_values = {
        k: paired_p_value(recall_at(k, mini_ranks), recall_at(k, concepts_ranks)) for k in CUTOFFS
    }
    return {
        "p_value": Metric(value=p_values[5], n=count),
        **{f"p_value_r{k}": Metric(value=value, n=count) for k, value in p_values.items()},
        **{f"chance_r{k}": Metric(value=chance_recall(count, k), n=count) for k in CUTOFFS},
    }


def rule(metrics: Mapping[str, Metric]) -> dict[str, str]:
    """`mini` is the default only if it beats `concepts` in R@5 here, and sees order in the world.

    It sees order if the interval of its binary reversal accuracy is above one half.
    """
    better = metrics["r5"].value > metrics["concepts_r5"].value
    beats = better and metrics["p_value"].value < SIGNIFICANT
    try:
        reversal = load_result("world_mini").metrics["reversal"]
        low, value, high = reversal.interval
        ordered, seen = low > 0.5, f"{value:.3f} [{low:.3f}, {high:.3f}]"
    except UsageError:
        ordered, seen = False, "not measured: run python -m recipes.world_mini first"
    return {
        "beats concepts in R@5": f"{beats} (p = {metrics['p_value'].value:.4f})",
        "sees order": f"{ordered} (reversal {seen})",
        "default": "mini" if beats and ordered else "concepts",
    }


if __name__ == "__main__":
    main()
