"""A recipe: what learns, from what, by which lessons; and the run of one stage of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kinoscope.backbones.mllm import MLLM
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.packages import cache_folder
from kinoscope.sampling import SamplingConfig
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.checkpoint import final_checkpoint, usable_weights
from kinoscope.training.gather import join_launcher, process_number, wait_for_all
from kinoscope.training.journal import Record, plot
from kinoscope.training.lesson_config import LessonConfig
from kinoscope.training.lessons import Lessons, Model
from kinoscope.training.loop import train
from kinoscope.training.lora import merge_lora, name_beside_lora
from kinoscope.training.optimiser import copy_weights
from kinoscope.training.progress import Report
from kinoscope.training.recipe_file import function_of
from kinoscope.training.sources import FeatureCache, Source
from kinoscope.training.sources.feature_cache import Library, warmed
from kinoscope.training.sources.joined import JoinedLibrary
from kinoscope.training.task import LoopConfig
from kinoscope.training.thoughts import PREFIX, Thoughts

Validate = Callable[[Model, FeatureCache], Mapping[str, float]]
Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One stage of a training.

    Attributes:
        model: loads what learns, as the first stage finds it; it may put a LoRA on it.
        source: opens the training data: one source, or several, side by side; a lesson takes from
            all of them what it can teach.
        sampling: which frames of a video are seen.
        lessons: what is taught, and what the losses weigh.
        loop: how long, how fast, in what precision.
        validate: metrics on held-out data, larger is better; none by default.
        tower: hash of what the vision features depend on, where that is less than the whole model:
            they are then kept from stage to stage.
        features: folder in which they are kept; one of the cache by default.
    """

    model: Callable[[], MLLM]
    source: Callable[[], Source | Sequence[Source]]
    sampling: SamplingConfig
    lessons: LessonConfig
    loop: LoopConfig
    validate: Validate | None = None
    tower: Callable[[MLLM], str] | None = None
    features: Path | None = None

    def library(self, backbone: MLLM, tell: Told) -> tuple[Library | JoinedLibrary, FeatureCache]:
        """The examples whose videos can be read, their features computed once."""
        cache = FeatureCache(
            self.features or cache_folder() / "features",
            backbone,
            self.sampling,
            tower=None if self.tower is None else self.tower(backbone),
        )
        found = self.source()
        sources = found if isinstance(found, Sequence) else (found,)
        libraries = [_told_library(source, cache, tell) for source in sources]
        if cache.failures:
            (_, key), why = next(iter(cache.failures.items()))
            tell(f"{len(cache.failures)} videos give no frames; {key}: {why}")
        return libraries[0] if len(libraries) == 1 else JoinedLibrary(libraries), cache


def _told_library(source: Source, cache: FeatureCache, tell: Told) -> Library:
    overlaps = ", ".join(source.overlaps) or "no benchmark"
    tell(f"{source.name}: {len(source)} videos, overlapping {overlaps}")
    tell(f"annotations: {source.problems.describe()}")

    def progress(done: int, total: int) -> None:
        if done % 100 == 0 or done == total:
            tell(f"vision features of {done} of {total} videos")

    return warmed(source, cache, progress=progress)


def stage_folder(root: Path, stage: int) -> Path:
    """Where a stage of a run keeps journal and checkpoints."""
    return root / f"stage-{stage}"


def load_recipe(file: Path, stage: int) -> Recipe:
    """What the function `recipe(stage)` of a Python file returns.

    Raises `UsageError` for a file that is not there or has no such function.
    """
    recipe = function_of(file, "recipe", "stage")(stage)
    if not isinstance(recipe, Recipe):
        raise UsageError(f"recipe({stage}) of {file} gives {type(recipe).__name__}, not a Recipe")
    return recipe


def run(
    recipe: Recipe,
    root: Path,
    stage: int,
    *,
    progress: Callable[[Record], None] | None = None,
    tell: Told = lambda _line: None,
) -> tuple[Report, Model]:
    """Trains a stage in `root/stage-N`, going on after an interruption; the report and the model.

    A stage begins with the weights of those before it, of which a stage 0 need not be there. The
    model is that of the best checkpoint, else of the last, a LoRA merged into it; where thinking
    was taught it is the `Thinker` around it.
    Under `accelerate launch` or torchrun all processes share each batch; only the first writes.
    Raises `UsageError` if a stage before is not there, and as `train` does.
    """
    join_launcher()
    first = process_number() == 0
    backbone, thinking = recipe.model(), recipe.lessons.thinking
    thoughts = None if thinking is None else Thoughts(backbone, thinking, recipe.loop.steps)
    model = backbone if thoughts is None else thoughts.thinker
    _begin_after(model, root, stage, tell)
    if not first:
        wait_for_all()  # for the features that the first process computes
    library, cache = recipe.library(backbone, tell)
    if first:
        wait_for_all()
    validate = recipe.validate
    lessons = Lessons(
        backbone,
        library,
        recipe.lessons,
        (lambda model: validate(model, cache)) if validate else lambda _model: {},
        thoughts=thoughts,
    )
    folder = stage_folder(root, stage)
    report = train(lessons, recipe.loop, folder, progress=progress)
    if first:
        plot(folder)
    wait_for_all()  # the first process has written the last checkpoint
    begin_with(model, folder)
    merge_lora(backbone)
    backbone.checkpoint.model.eval()
    return report, model


def _begin_after(model: Model, root: Path, stage: int, tell: Told) -> None:
    """With the weights of all stages before, in their order: one may have trained only a part."""
    for earlier in range(stage):
        folder = stage_folder(root, earlier)
        if earlier > 0 or folder.exists():
            begin_with(model, folder)
            tell(f"begins with the weights of {final_checkpoint(folder)}")


def embedder_of(model: Model, sampling: SamplingConfig) -> Embedder:
    """The embedder around what a stage came to."""
    if isinstance(model, Thinker):
        return Embedder(model.backbone, sampling=sampling, thinker=model)
    return Embedder(model, sampling=sampling)


def begin_with(model: Model, folder: Path) -> None:
    """Overwrites the weights that a stage trained with those of its best, or last, checkpoint.

    Of its moving average, where there is one. The model may have a LoRA that the stage had not, or
    think where the stage did not.
    Raises `UsageError` if there is no checkpoint, or one that does not fit the model.
    """
    place = final_checkpoint(folder)
    if place is None:
        raise UsageError(f"{folder} has no checkpoint: train the stage before first")
    known = _weights(model)
    weights = {
        name_beside_lora(name, known): values
        for name, values in usable_weights(place).items()
        if name != "temperature"
    }
    foreign = sorted(set(weights) - set(known))
    if foreign:
        raise UsageError(
            f"{place} has {foreign[0]}, which this model has not: load the model as that stage did,"
            " or give another folder"
        )
    copy_weights(weights, {name: known[name] for name in weights})


def _weights(model: Model) -> dict[str, Any]:
    if not isinstance(model, Thinker):
        return dict(model.checkpoint.model.named_parameters())
    learned = {PREFIX + name: values for name, values in model.learned.named_parameters()}
    return {**_weights(model.backbone), **learned}
