"""Negation: captions that also say what is not there, and choices among claims and denials.

After NegBench (arXiv 2501.09425): recall with standard and with negated captions, and questions
with four options, one of them true: a claim, a denial, or both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinoscope.backbones.protocol import Backbone
from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import recall_at
from kinoscope.evaluation.tasks.protocol import TaskResult
from kinoscope.evaluation.world.retrieval import own_ranks
from kinoscope.evaluation.world.values import Figures, by_video, figures_of
from kinoscope.evaluation.world.vectors import embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.training.world import Scene
from kinoscope.training.world.captions import absence, caption, negated_caption
from kinoscope.types import Float32, Float64

KINDS = ("affirmation", "negation", "hybrid")
OPTIONS = 4
_CUTOFF = 5


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Four sentences on a video, of which the first is true."""

    kind: str
    options: tuple[str, str, str, str]


def choice_of(scene: Scene) -> Choice:
    """What the scene's seed chooses: a thing that is shown, the kind of question, its wording.

    A is shown, B is not. Affirmation: "A" against "B", "no A", "B, no A"; negation: "no B" against
    "no A", "B", "B, no A"; hybrid: "A, no B" against "B, no A", "A, B", "no A, no B".
    """
    rng = np.random.default_rng((scene.seed, 11))
    kind, number = KINDS[int(rng.integers(3))], int(rng.integers(1000))
    shown = [actor.thing.name for shot in scene.shots for actor in shot.actors]
    here = replace(scene, absent=shown[int(rng.integers(len(shown)))])
    a, no_a = absence(here, number, true=False), absence(here, number)
    b, no_b = absence(scene, number, true=False), absence(scene, number)
    options = {
        "affirmation": (a, b, no_a, f"{b} {no_a}"),
        "negation": (no_b, no_a, b, f"{b} {no_a}"),
        "hybrid": (f"{a} {no_b}", f"{b} {no_a}", f"{a} {b}", f"{no_a} {no_b}"),
    }
    return Choice(kind=kind, options=options[kind])


def negation(model: Backbone, videos: WorldVideos, clips_ND: Float32) -> Figures:
    """Metrics and details of `negated`."""
    return figures_of(negated(model, videos, clips_ND))


def negated(model: Backbone, videos: WorldVideos, clips_ND: Float32) -> TaskResult:
    """`negation_std_r5` and `negation_neg_r5` of the same captions, and `negation_mcq`.

    A tie counts against the query. Details: gallery, chances, and the choices by kind.

    Args:
        model: embeds texts.
        videos: each is asked about.
        clips_ND: their unit vectors.
    """
    scenes, keys = list(videos.scenes()), videos.keys
    texts = {"std": caption, "neg": negated_caption}
    values = {
        f"negation_{name}_r{_CUTOFF}": by_video(
            keys,
            recall_at(
                _CUTOFF, own_ranks(embed_texts(model, (told(scene) for scene in scenes)), clips_ND)
            ),
        )
        for name, told in texts.items()
    }
    choices = [choice_of(scene) for scene in scenes]
    rows_MD = embed_texts(model, (text for choice in choices for text in choice.options))
    right_N = first_is_nearest(rows_MD.reshape(len(choices), OPTIONS, -1), clips_ND)
    values["negation_mcq"] = by_video(keys, right_N)
    details: dict[str, object] = {
        "gallery": len(scenes),
        "chance_r5": min(1.0, _CUTOFF / len(scenes)),
        "chance_mcq": 1 / OPTIONS,
        "mcq_by_kind": _by_kind([choice.kind for choice in choices], right_N),
    }
    return TaskResult(values=values, protocol=details)


def first_is_nearest(options_NKD: Float32, clips_ND: Float32) -> Float64:
    """1.0 where option 0 has a greater cosine with the clip than all others, else 0.0: [N].

    Raises `UsageError` for a score that is not finite.
    """
    scores_NK = np.einsum("nkd,nd->nk", options_NKD, clips_ND, dtype=np.float64)
    if not np.isfinite(scores_NK).all():
        raise UsageError("scores of options are NaN or infinite: mend the model")
    nearest_N: Float64 = (scores_NK[:, 0] > scores_NK[:, 1:].max(axis=1)).astype(np.float64)
    return nearest_N


def _by_kind(kinds: Sequence[str], right_N: Float64) -> dict[str, dict[str, float]]:
    named = np.array(kinds)
    return {
        kind: {
            "n": int((named == kind).sum()),
            "accuracy": round(float(right_N[named == kind].mean()), 4),
        }
        for kind in KINDS
        if (named == kind).any()
    }
