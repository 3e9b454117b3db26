"""Retrieval of the described sample clips by `concepts`, against BM25 over labels and chance."""

from dataclasses import asdict
from pathlib import Path

from kinoscope.backbones.concepts import Concepts
from kinoscope.embedder import Embedder
from kinoscope.evaluation.results import save_result
from kinoscope.evaluation.sample_clips import Described, mean_labels, measure
from kinoscope.samples import SampleSet, fetch
from kinoscope.weights import model_files

CLIPS_FOLDER = Path(".demo/clips")
"""Shared with `make demo`, so that clips are fetched once."""


def main() -> None:
    """Measures all metrics and saves `results/concepts_samples.json`."""
    embedder = Embedder.load()
    backbone = Concepts(model_files())
    found = fetch(CLIPS_FOLDER, report=print)
    described = describe(found, embedder, backbone)
    metrics, details = measure(described, embedder.reference_mean_D)
    cut = [p for p in described.prompts if backbone.count_tokens(p) > backbone.max_tokens]
    details |= {
        "clips": [clip.file for clip in found.described],
        "prompts_cut_to_256_tokens": len(cut),
        "packages": sorted({clip.source for clip in found.described}),
        "spec": asdict(embedder.spec),
    }
    save_result("concepts_samples", metrics, details=details)
    for name, metric in metrics.items():
        low, value, high = metric.interval
        print(f"{name:>20} {value:.3f} [{low:.3f}, {high:.3f}]")


def describe(found: SampleSet, embedder: Embedder, backbone: Concepts) -> Described:
    """Vectors and class names of every clip that has a prompt."""
    paths = [found.folder / clip.file for clip in found.described]
    prompts = [clip.prompt for clip in found.described if clip.prompt is not None]
    return Described(
        prompts=prompts,
        queries_ND=embedder.encode_query(prompts),
        clips_ND=embedder.encode_document(paths),
        labels=[mean_labels(backbone, path, embedder.sampling) for path in paths],
    )


if __name__ == "__main__":
    main()
