"""All tasks of one embedder on the generated world: figures with intervals, and their protocol."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache

import numpy as np

from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.protocol import Backbone
from kinoscope.evaluation.metrics import recall_at
from kinoscope.evaluation.metrics.choices import picked
from kinoscope.evaluation.tasks.protocol import TaskResult
from kinoscope.evaluation.world import chiral, matching, moments, questions, retrieval, reversal
from kinoscope.evaluation.world.answering import Scores, asked_anew, match_margins, option_scores
from kinoscope.evaluation.world.values import Figures, by_video, figures_of
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.world import WorldConfig
from kinoscope.training.world.questions import questions as questions_on
from kinoscope.training.world.scene import Split
from kinoscope.types import Float32

WORDED = ("qa", "matching")
"""Tasks for a model that answers in words."""
TASKS = ("retrieval", "reversal", "chiral", "moments", "long_text", *WORDED)
SEEN_TASKS = ("retrieval", "reversal", *WORDED)
"""Tasks that are also measured on the nouns of the training."""
_BEHIND = 100_000  # the validation split's videos that are not measured


@dataclass(frozen=True, kw_only=True)
class World:
    """How much of which world is measured.

    Attributes:
        count: videos of the split.
        chosen_on: videos of the validation split on which the way to find moments is chosen.
        guessed_from: videos of the training split whose answers are the prior of questions.
        config: of the world; its nouns are the split's own.
        split: what is measured, `test` or `validation`.
    """

    count: int = 1000
    chosen_on: int = 160
    guessed_from: int = 2000
    config: WorldConfig = field(default_factory=WorldConfig)
    split: Split = "test"

    def test(self, *, seen: bool = False) -> GeneratedSource:
        """A tenth more than `count`, so that as many of them differ from their reversals."""
        config = replace(self.config, nouns="seen") if seen else self.config
        return GeneratedSource(self.split, self.count + self.count // 10 + 1, config=config)

    def validation(self, count: int) -> GeneratedSource:
        """Of the validation split, videos that are not measured."""
        first_seed = 0 if self.split == "test" else _BEHIND
        return GeneratedSource("validation", count, first_seed=first_seed, config=self.config)

    def opposites(self, pair: tuple[str, str]) -> GeneratedSource:
        """The pair's share of `count` videos."""
        count = max(8, -(-self.count // len(chiral.PAIRS)))
        return GeneratedSource(self.split, count, config=chiral.config_of(pair, self.config))


@dataclass(frozen=True, kw_only=True, eq=False)
class System:
    """What is measured.

    Attributes:
        backbone: embeds; one that is an `MLLM` also answers in words.
        see: the videos of a source with the features that the backbone reads.
        fps: sampled frames a second.
        lengths: frames of the runs among which it finds moments.
        scores: what it says in words, asked anew, or read where it said so before.
    """

    backbone: Backbone
    see: Callable[[GeneratedSource], WorldVideos]
    fps: float
    lengths: Sequence[int] = moments.LENGTHS
    scores: Scores = asked_anew

    @property
    def tasks(self) -> tuple[str, ...]:
        """Those that it can do."""
        return tuple(t for t in TASKS if t not in WORDED or isinstance(self.backbone, MLLM))


class Measurement:
    """One system on the test split; what several tasks need is made once."""

    def __init__(self, system: System, world: World, *, seen: bool = False) -> None:
        """`seen` measures on the nouns of the training instead of the split's own."""
        self._system, self._world, self._seen = system, world, seen
        self._backbone = system.backbone

    def task(self, name: str) -> Figures:
        """Metrics and details of one of `TASKS`."""
        return figures_of(self.found(name))

    def found(self, name: str) -> TaskResult:
        """Of one of `TASKS`, with values by query."""
        made: Mapping[str, Callable[[], TaskResult]] = {
            "retrieval": self._retrieval,
            "reversal": self._reversal,
            "chiral": self._chiral,
            "moments": self._moments,
            "long_text": self._long_text,
            "qa": self._qa,
            "matching": self._matching,
        }
        return made[name]()

    @cached_property
    def _all(self) -> WorldVideos:
        return self._system.see(self._world.test(seen=self._seen))

    @cached_property
    def _videos(self) -> WorldVideos:
        return self._all.first(self._world.count)

    @cached_property
    def _clips_ND(self) -> Float32:
        return embed_clips(self._backbone, self._all.clips())

    @cached_property
    def _captions_ND(self) -> Float32:
        return embed_texts(self._backbone, (each.captions[0] for each in self._all.examples()))

    def _retrieval(self) -> TaskResult:
        count, texts = len(self._videos), [e.captions[0] for e in self._videos.examples()]
        found = retrieval.retrieved(
            self._captions_ND[:count], self._clips_ND[:count], self._videos.keys
        )
        return replace(found, protocol={**found.protocol, "distinct_captions": len(set(texts))})

    def _reversal(self) -> TaskResult:
        told = [reversal.told_both_ways(example) for example in self._all.examples()]
        numbers = [n for n, pair in enumerate(told) if pair is not None][: self._world.count]
        clips = (
            reversal.played_backwards(self._all.clip(n), self._all.duration_s(n)) for n in numbers
        )
        texts = [pair[1] for pair in told if pair is not None][: len(numbers)]
        choices = reversal.choose(
            reversal.BothWays(
                forward_ND=self._clips_ND[numbers], backward_ND=embed_clips(self._backbone, clips)
            ),
            reversal.BothWays(
                forward_ND=self._captions_ND[numbers],
                backward_ND=embed_texts(self._backbone, texts),
            ),
        )
        keys = self._all.keys
        return reversal.judged(choices, [keys[n] for n in numbers])

    def _chiral(self) -> TaskResult:
        metrics, details = chiral.chiral({pair: self._gallery(pair) for pair in chiral.PAIRS})
        return TaskResult(values={}, figures=metrics, protocol=details)

    def _gallery(self, pair: tuple[str, str]) -> chiral.Gallery:
        videos = self._system.see(self._world.opposites(pair))
        kinds = [scene.events[0][1].kind for scene in videos.scenes()]
        texts = [text for both in chiral.texts_of(pair, self._world.split) for text in both]
        texts_ND = embed_texts(self._backbone, texts)
        return chiral.Gallery(
            videos_ND=embed_clips(self._backbone, videos.clips()),
            second_N=np.array([kind == pair[1] for kind in kinds]),
            texts_W2D=texts_ND.reshape(-1, 2, texts_ND.shape[1]),
        )

    def _moments(self) -> TaskResult:
        system, world = self._system, self._world
        tried = system.see(world.validation(world.chosen_on))
        method, told = moments.choose_method(
            moments.search(
                self._backbone, tried, moments.queries_of(tried.examples()), system.lengths
            ),
            system.fps,
        )
        queries = moments.queries_of(self._videos.examples())
        found = moments.search(self._backbone, self._videos, queries, method.lengths)
        source = world.validation(world.count)
        prior_s = moments.median_length_s(
            moments.queries_of(source.example(n) for n in range(len(source)))
        )
        values_Q = moments.ious(method, found, system.fps)
        values = moments.localisation(values_Q, [each.query for each in found], prior_s)
        details: dict[str, object] = {
            "method": method.describe(system.fps),
            "validation": told,
            "videos": len(queries),
            "prior_s": prior_s,
        }
        return TaskResult(values=values, protocol=details)

    def _long_text(self) -> TaskResult:
        texts = [example.details[0] for example in self._videos.examples()]
        found = retrieval.own_ranks(
            embed_texts(self._backbone, texts), self._clips_ND[: len(self._videos)]
        )
        words = [len(text.split()) for text in texts]
        tokens = [self._backbone.count_tokens(text) for text in texts]
        values = {"long_text_r1": by_video(self._videos.keys, recall_at(1, found))}
        details: dict[str, object] = {
            "gallery": len(texts),
            "r5": float(recall_at(5, found).mean()),
            "r10": float(recall_at(10, found).mean()),
            "words": [min(words), float(np.median(words)), max(words)],
            "most_tokens": max(tokens),
            "read_tokens": self._backbone.max_tokens,
            "cut": sum(count > self._backbone.max_tokens for count in tokens),
        }
        return TaskResult(values=values, protocol=details)

    def _qa(self) -> TaskResult:
        assert isinstance(self._backbone, MLLM)
        asked = questions.asked_of(self._videos)
        scores = option_scores(self._backbone, self._videos, asked, self._system.scores)
        prior_Q = questions.guessed(asked, _answers(self._world))
        right_Q = picked(scores, [one.question.right for one in asked])
        return questions.answered(asked, right_Q, prior_Q)

    def _matching(self) -> TaskResult:
        assert isinstance(self._backbone, MLLM)
        pairs = matching.pairs_of(self._videos)
        margins = match_margins(self._backbone, self._videos, pairs, self._system.scores)
        return matching.matched(pairs, *margins)


@lru_cache(maxsize=4)
def _answers(world: World) -> dict[str, Counter[str]]:
    """Of the training split, by kind of question."""
    source = GeneratedSource("train", world.guessed_from, config=world.config)
    scenes = (source.scene(number) for number in range(len(source)))
    return questions.answers_by_kind(q for scene in scenes for q in questions_on(scene))
