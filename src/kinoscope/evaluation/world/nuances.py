"""All that nuance tuning is for, on the world: time, order, manner, negation, edits."""

from collections.abc import Callable
from dataclasses import dataclass, field

from kinoscope.backbones.protocol import Backbone
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.space import modality_gap
from kinoscope.evaluation.world.composed import composed
from kinoscope.evaluation.world.edited import edited
from kinoscope.evaluation.world.negation import negation
from kinoscope.evaluation.world.retrieval import retrieval
from kinoscope.evaluation.world.table import Measurement, System, World
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.evaluation.world.wrong_texts import all_pairs_of, wrong_texts
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.world import WorldConfig

See = Callable[[GeneratedSource], WorldVideos]


@dataclass(frozen=True, kw_only=True)
class NuanceWorld:
    """How much is measured: `count` test videos; `edits` of them, with as many targets."""

    count: int = 1000
    edits: int = 250
    config: WorldConfig = field(default_factory=WorldConfig)


def nuances(
    model: Backbone, see: See, world: NuanceWorld, fps: float
) -> tuple[dict[str, Metric], dict[str, object]]:
    """Figures of `retrieval`, `chiral`, `wrong_texts`, `negation` and `composed`, and `gap`.

    Args:
        model: embeds.
        see: the videos of a source with the features that it reads.
        world: how much of it.
        fps: sampled frames a second.

    Returns metrics by name, and the details of each task.
    """
    videos = see(GeneratedSource("test", world.count, config=world.config))
    clips_ND = embed_clips(model, videos.clips())
    texts_ND = embed_texts(model, (example.captions[0] for example in videos.examples()))
    system = System(backbone=model, see=see, fps=fps)
    chiral = Measurement(system, World(count=world.count, config=world.config))
    sources, targets = edited("test", world.edits, world.config)
    found = {
        "retrieval": retrieval(texts_ND, clips_ND, videos.keys),
        "chiral": chiral.task("chiral"),
        "wrong_texts": wrong_texts(model, all_pairs_of(videos), clips_ND),
        "negation": negation(model, videos, clips_ND),
        "composed": composed(model, see(sources), see(targets)),
    }
    metrics = {name: m for some, _ in found.values() for name, m in some.items()}
    metrics["gap"] = Metric(value=modality_gap(clips_ND, texts_ND), n=len(videos))
    return metrics, {task: details for task, (_, details) in found.items()}
