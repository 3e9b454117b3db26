"""The generated world's own tasks as benchmarks: no files, frames are rendered when wanted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from kinoscope.errors import UsageError
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.tasks.protocol import Benchmark, Files, Model, Options, TaskResult
from kinoscope.libraries import torch
from kinoscope.packages import cache_folder
from kinoscope.training.world import WorldConfig

if TYPE_CHECKING:
    from kinoscope.backbones.protocol import Backbone
    from kinoscope.evaluation.world.table import World
    from kinoscope.evaluation.world.videos import WorldVideos
    from kinoscope.training.sources import GeneratedSource
    from kinoscope.types import Features

COUNT = 1000
EDITS = 250
"""Videos that are edited, where no limit says otherwise."""
_WORTH_WORKERS = 200  # videos: processes that render take seconds to start

_TASKS: Mapping[str, Sequence[str]] = {
    "retrieval": ("retrieval",),
    "reversal": ("reversal", "chiral"),
    "moments": ("moments",),
    "long-text": ("long_text",),
    "composed": ("composed",),
    "negation": ("negation",),
    "qa": ("qa",),
    "matching": ("matching",),
}
_SEEN_TASKS: Mapping[str, Sequence[str]] = {
    "seen-retrieval": ("retrieval",),
    "seen-reversal": ("reversal",),
    "seen-qa": ("qa",),
    "seen-matching": ("matching",),
}
"""On the nouns of the training: what is not reached there is not for want of a noun."""
_WORDED = ("qa", "matching")


def run(
    config: WorldConfig, tasks: Sequence[str], _files: Files, model: Model, options: Options
) -> TaskResult:
    """Asks for the tasks on so many videos of a split.

    Raises `UsageError` for a model that cannot do them, `SetupError` before `world fetch`.
    """
    torch()
    from kinoscope.evaluation.world.table import World

    assert isinstance(model, Asking), type(model)
    world = World(count=options.limit or COUNT, config=config, split=options.split)
    if options.limit is not None:
        few = max(8, options.limit // 4)
        world = World(
            count=options.limit, chosen_on=few, guessed_from=200, config=config, split=world.split
        )
    measure = _Measure(model, world, options.limit or EDITS)
    found = {task: measure.task(task) for task in tasks}
    values = {name: each for one in found.values() for name, each in one.values.items()}
    model.films.update(video for each in values.values() for video in each.videos)
    model.texts.add(world.test().fingerprint)
    told: dict[str, object] = {
        task: {"videos": world.count, **one.protocol} for task, one in found.items()
    }
    return TaskResult(
        values=values,
        figures={name: each for one in found.values() for name, each in one.figures.items()},
        protocol={"world": world.test().name, "fingerprint": world.test().fingerprint, **told},
    )


class _Measure:
    """The tasks of one model; vectors and vision features are kept."""

    def __init__(self, asking: Asking, world: "World", edits: int) -> None:
        from kinoscope.evaluation.runner.kept_backbone import KeptBackbone
        from kinoscope.training.sources import FeatureCache

        self._asking, self._world, self._edits = asking, world, edits
        self._kept = KeptBackbone(asking)
        backbone = asking.backbone
        family = getattr(getattr(backbone, "checkpoint", None), "family", None)
        self._cache = FeatureCache(
            cache_folder() / "features",
            backbone,
            asking.sampling,
            tower=getattr(family, "tower", None),  # mini's: the same before and after tuning
        )

    def task(self, name: str) -> TaskResult:
        """Of one of `_TASKS`."""
        own: Mapping[str, Callable[[], TaskResult]] = {
            "composed": self._composed,
            "negation": self._negation,
        }
        return own[name]() if name in own else self._measured(name)

    def _measured(self, name: str) -> TaskResult:
        from kinoscope.backbones.mllm import MLLM
        from kinoscope.evaluation.runner.kept_scores import KeptScores
        from kinoscope.evaluation.world.table import Measurement, System

        backbone: Backbone = self._kept
        if name in _WORDED:
            backbone = self._asking.backbone
            if not isinstance(backbone, MLLM):
                raise UsageError(
                    f"the {backbone.model} model answers nothing in words: world-{name} is for"
                    " multimodal LLMs, such as mini"
                )
        system = System(
            backbone=backbone,
            see=self._see,
            fps=self._asking.sampling.fps,
            scores=KeptScores(self._asking),
        )
        measurement = Measurement(system, self._world)
        return measurement.found(name)

    def _composed(self) -> TaskResult:
        from kinoscope.evaluation.world.composed import looked_for
        from kinoscope.evaluation.world.edited import edited

        if "composed" not in self._kept.kinds:
            raise UsageError(f"the {self._kept.model} model cannot compose a video and a text")
        sources, targets = edited(self._world.split, self._edits, self._world.config)
        return looked_for(self._kept, self._see(sources), self._see(targets))

    def _negation(self) -> TaskResult:
        from kinoscope.evaluation.world.negation import negated
        from kinoscope.evaluation.world.vectors import embed_clips

        videos = self._see(self._world.test()).first(self._world.count)
        return negated(self._kept, videos, embed_clips(self._kept, videos.clips()))

    def _see(self, source: "GeneratedSource") -> "WorldVideos":
        """All are looked at when the first is wanted: of what is known already none is."""
        from kinoscope.evaluation.world.videos import WorldVideos

        warmed: list[str] = []

        def clip(number: int) -> "Features":
            if not warmed:
                warmed.append(source.name)
                self._warm(source)
            return self._cache.features(source, number)

        return WorldVideos(source, clip)

    def _warm(self, source: "GeneratedSource") -> None:
        if len(source) >= _WORTH_WORKERS and self._asking.workers:
            self._asking.tell(f"{source.name}: {len(source)} videos are looked at")
            with self._asking.phase("videos"):
                self._cache.warm(source, workers=self._asking.workers)


def benchmarks(config: WorldConfig) -> Mapping[str, Benchmark]:
    """All of them on one kind of world."""
    seen = replace(config, nouns="seen")
    kinds = ((config, _TASKS), (seen, _SEEN_TASKS))
    return {
        f"world-{name}": Benchmark(
            files={}, run=partial(run, world, tasks), source="docs/training.md"
        )
        for world, named in kinds
        for name, tasks in named.items()
    }


BENCHMARKS = benchmarks(WorldConfig())
