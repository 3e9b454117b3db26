"""A recipe: what learns, from what videos and sentences; and the run of one stage of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from kinoscope.training.joint import Joint
from kinoscope.training.journal import Record, plot
from kinoscope.training.lesson_config import LessonConfig
from kinoscope.training.lessons import Lessons
from kinoscope.training.loop import train
from kinoscope.training.lora import merge_lora, name_beside_lora
from kinoscope.training.nuance import Nuance, NuanceConfig, Plain, untouched_hash
from kinoscope.training.optimiser import copy_weights
from kinoscope.training.progress import Report
from kinoscope.training.recipe_file import function_of
from kinoscope.training.sources import FeatureCache, Source
from kinoscope.training.sources.feature_cache import Library, warmed
from kinoscope.training.sources.joined import JoinedLibrary
from kinoscope.training.task import LoopConfig, Task
from kinoscope.training.teaching import Model, backbone_of
from kinoscope.training.thoughts import PREFIX, Thoughts
from kinoscope.training.triplets import Mix, Mixed, mixed

Validate = Callable[[Model, FeatureCache], Mapping[str, float]]
Told = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One stage of a training.

    With `source` it has lessons on videos, with `mix` text triplets, with both these by turns.

    Attributes:
        model: loads what learns, as the first stage finds it; it may put a LoRA on it. A model that
            thinks goes on thinking: lessons on videos then name its thinking too.
        sampling: which frames of a video are seen.
        loop: how long, how fast, in what precision.
        source: opens the training data: one source, or several, side by side; a lesson takes from
            all of them what it can teach.
        lessons: what is taught on videos, and what the losses weigh.
        mix: text triplets; without a source the language model alone learns, see `Nuance`.
        nuance: how they are learned.
        plain: opens the captions that `nuance.keep` asks for.
        validate: metrics on held-out data, larger is better; none by default.
        tower: hash of what the vision features depend on, where that is less than the whole model:
            they are then kept from stage to stage.
        features: folder in which they are kept; one of the cache by default.
    """

    model: Callable[[], Model]
    sampling: SamplingConfig
    loop: LoopConfig
    source: Callable[[], Source | Sequence[Source]] | None = None
    lessons: LessonConfig = field(default_factory=LessonConfig)
    mix: Mix | None = None
    nuance: NuanceConfig = field(default_factory=NuanceConfig)
    plain: Callable[[], Plain] | None = None
    validate: Validate | None = None
    tower: Callable[[MLLM], str] | None = None
    features: Path | None = None

    def __post_init__(self) -> None:
        if self.source is None and self.mix is None:
            raise UsageError("the recipe has nothing to learn from: give a source, a mix, or both")
        if self.validate is None and self.loop.validate_every is not None:
            raise UsageError("nothing is measured: give validate, or leave validate_every out")
        if self.mix is None and self.plain is not None:
            raise UsageError("plain captions stand beside triplets: give a mix too")

    def cache(self, backbone: MLLM) -> FeatureCache:
        """Where features of videos are kept."""
        return FeatureCache(
            self.features or cache_folder() / "features",
            backbone,
            self.sampling,
            tower=None if self.tower is None else self.tower(backbone),
        )

    def library(self, cache: FeatureCache, tell: Told) -> Library | JoinedLibrary:
        """The examples whose videos can be read, their features computed once.

        All examples, and no features, where no lesson reads a video.
        """
        assert self.source is not None
        found = self.source()
        sources = found if isinstance(found, Sequence) else (found,)
        warm = self.lessons.sees_video
        libraries = [_told_library(source, cache, tell, warm=warm) for source in sources]
        if cache.failures:
            (_, key), why = next(iter(cache.failures.items()))
            tell(f"{len(cache.failures)} videos give no frames; {key}: {why}")
        return libraries[0] if len(libraries) == 1 else JoinedLibrary(libraries)

    def triplets(self, tell: Told) -> Mixed:
        """The triplets of the mix."""
        assert self.mix is not None
        found = mixed(self.mix)
        for source in found.sources:
            overlaps = ", ".join(source.overlaps) or "no benchmark"
            tell(f"{source.name}: overlapping {overlaps}; {source.problems.describe()}")
        counts = ", ".join(f"{part} {count}" for part, count in found.counts.items())
        tell(f"{len(found.triplets)} triplets: {counts}")
        return found


def _told_library(source: Source, cache: FeatureCache, tell: Told, *, warm: bool) -> Library:
    overlaps = ", ".join(source.overlaps) or "no benchmark"
    tell(f"{source.name}: {len(source)} videos, overlapping {overlaps}")
    tell(f"annotations: {source.problems.describe()}")
    if not warm:
        return Library(source, cache)

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
    After triplets alone, all but the language model is as it was, which is checked by hash.
    Raises `UsageError` if a stage before is not there, and as `train` does.
    """
    join_launcher()
    first = process_number() == 0
    model, thinking = recipe.model(), recipe.lessons.thinking
    thoughts = None if thinking is None else Thoughts(model, thinking, recipe.loop.steps)
    model = model if thoughts is None else thoughts.thinker
    _begin_after(model, root, stage, tell)
    task = _task(recipe, model, thoughts, tell)
    before = untouched_hash(model) if isinstance(task, Nuance) else None
    folder = stage_folder(root, stage)
    report = train(task, recipe.loop, folder, progress=progress)
    if first:
        plot(folder)
    wait_for_all()  # the first process has written the last checkpoint
    begin_with(model, folder)
    merge_lora(backbone_of(model))
    backbone_of(model).checkpoint.model.eval()
    if before is not None:
        assert untouched_hash(model) == before, "text moved what it must not"
        tell(f"all but the language model is as it was: SHA-256 {before}")
    return report, model


def _task(recipe: Recipe, model: Model, thoughts: Thoughts | None, tell: Told) -> Task:
    """Lessons on videos, triplets of text, or both by turns."""
    if recipe.source is not None and thoughts is None and isinstance(model, Thinker):
        raise UsageError("the model thinks: say in lessons.thinking how its videos do")
    backbone = backbone_of(model)
    cache, validate = recipe.cache(backbone), recipe.validate
    measure: Callable[[Model], Mapping[str, float]] = (
        (lambda model: validate(model, cache)) if validate else lambda _model: {}
    )
    nuance = None
    if recipe.mix is not None:
        plain = None if recipe.plain is None else recipe.plain()
        nuance = Nuance(model, recipe.triplets(tell), recipe.nuance, plain, measure)
    if recipe.source is None:
        assert nuance is not None
        return nuance
    first = process_number() == 0
    if not first:
        wait_for_all()  # for the features that the first process computes
    library = recipe.library(cache, tell)
    if first:
        wait_for_all()
    lessons = Lessons(backbone, library, recipe.lessons, measure, thoughts=thoughts)
    return lessons if nuance is None else Joint(lessons, nuance)


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
