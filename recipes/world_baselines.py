"""What `mini` is compared with on the generated world's test split, whatever its weights are.

    python -m recipes.world_baselines [--limit N] [--only TASK,...] [--systems NAME,...]

`mini` as it was before any training, and `concepts`, which sees no order. Frames, texts and
protocol are those of `recipes.world_mini`.
"""

from collections.abc import Sequence

from kinoscope.backbones.concepts import Concepts
from kinoscope.backbones.mini import SAMPLING, untrained_mini
from kinoscope.evaluation.results import save_result
from kinoscope.evaluation.world.table import System
from kinoscope.mini_weights import mini_files
from kinoscope.packages import cache_folder
from kinoscope.training.sources import FeatureCache
from kinoscope.weights import model_files
from recipes.mini import LAYERS
from recipes.world_mini import (
    OPTIONS,
    command,
    features_of,
    is_whole,
    measured_systems,
    seen_by,
)

SYSTEMS = ("untrained", "concepts")

_RUNS = (2,)  # of 1 s, as the moments of the training's windows


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures all tasks of both and saves `results/world_baselines.json`."""
    asked = command("world_baselines", SYSTEMS).parse_args(arguments)
    metrics, details = measured_systems(systems(), asked)
    if is_whole(asked, SYSTEMS):
        save_result("world_baselines", metrics, details=details)


def systems() -> dict[str, System]:
    """`mini` as it begins, and `concepts`."""
    untrained = untrained_mini(mini_files(), layers=LAYERS, options=OPTIONS)
    concepts = Concepts(model_files())
    other = FeatureCache(cache_folder() / "features", concepts, SAMPLING)
    return {
        "untrained": System(
            backbone=untrained,
            see=seen_by(features_of(untrained)),
            fps=SAMPLING.fps,
            lengths=_RUNS,
        ),
        "concepts": System(backbone=concepts, see=seen_by(other), fps=SAMPLING.fps),
    }


if __name__ == "__main__":
    main()
