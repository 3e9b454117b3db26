"""What recipes that measure `mini` on the generated world share: the model, its videos, a print."""

from collections.abc import Callable, Mapping
from pathlib import Path

from kinoscope import Embedder
from kinoscope.backbones.mini import SAMPLING, Mini, untrained_mini
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.mini_weights import mini_files
from kinoscope.packages import cache_folder, sha256_of
from kinoscope.training.checkpoint import WEIGHTS, final_checkpoint
from kinoscope.training.recipe import begin_with
from kinoscope.training.sources import FeatureCache, GeneratedSource
from recipes.mini import LAYERS

OPTIONS = LoadOptions(batch_tokens=2048)
"""Small batches hold less padding, and the caches of a CPU hold them."""

_WORTH_WORKERS = 200  # videos: processes that render take seconds to start


def load_model(name: str) -> MLLM:
    """`mini`, a folder with it, or what a stage of its training came to."""
    if final_checkpoint(Path(name)) is None:
        embedder = Embedder.load(name, options=OPTIONS)
        found = embedder.backbone
        if not isinstance(found, MLLM) or not isinstance(found.checkpoint.family, Mini):
            raise UsageError(f"model {name} is not mini: name a folder that it was saved in")
        if embedder.thinker is not None:
            raise UsageError(f"model {name} thinks: kinoscope eval measures it as it embeds")
        return found
    backbone = untrained_mini(mini_files(), layers=LAYERS, options=OPTIONS)
    begin_with(backbone, Path(name))
    backbone.checkpoint.model.eval()
    return backbone


def told_of(name: str, mini: MLLM) -> dict[str, object]:
    """Which model it is, for the saved file; a stage of a training is named by its checkpoint."""
    place = final_checkpoint(Path(name))
    weights = mini.weights if place is None else sha256_of(place / WEIGHTS)
    return {"name": Path(name).name, "checkpoint": place and place.name, "weights": weights}


def features_of(mini: MLLM) -> FeatureCache:
    """What the tower of `mini`, trained or not, has seen."""
    family = mini.checkpoint.family
    assert isinstance(family, Mini)
    return FeatureCache(cache_folder() / "features", mini, SAMPLING, tower=family.tower)


def seen_by(cache: FeatureCache) -> Callable[[GeneratedSource], WorldVideos]:
    """Videos with features, computed now where they are missing."""

    def see(source: GeneratedSource) -> WorldVideos:
        if len(source) >= _WORTH_WORKERS:
            cache.warm(source)
        return WorldVideos.of(source, cache)

    return see


def show(prefix: str, found: Mapping[str, Metric], told: Mapping[str, object]) -> None:
    """Prints each figure with its interval, then chance, ties, times, and figures by kind."""
    for name, metric in found.items():
        low, value, high = metric.interval
        print(f"{prefix + name:>36} {value:.3f} [{low:.3f}, {high:.3f}] n={metric.n}")
    single = {name: value for name, value in told.items() if not isinstance(value, Mapping)}
    print(f"{'':>36} {', '.join(f'{name} {value}' for name, value in single.items())}")
    for several in (value for value in told.values() if isinstance(value, Mapping)):
        for name, values in several.items():
            print(f"{'':>36} {name}: {values}")
    print(flush=True)
