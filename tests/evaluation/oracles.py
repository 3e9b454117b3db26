"""Made embedders of the tiny world: they read truth out of made features, and are right or wrong.

A made clip has a row a frame: the number of its video in the oracle's list, and the frame's time.
Played backwards its times fall. Equal labels have equal vectors, others nearly orthogonal ones.
"""

import zlib
from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

from kinoscope.evaluation.world import chiral
from kinoscope.evaluation.world.videos import WorldVideos
from kinoscope.training.sources import GeneratedSource
from kinoscope.training.world import WorldConfig
from kinoscope.types import Content, Features, States

PLAIN = WorldConfig(sprites=())
FPS, FRAMES = 2.0, 10
WIDE = 256


def vector(label: Hashable) -> np.ndarray:
    """A unit vector [256] for a label, the same in every process."""
    seed = zlib.crc32(repr(label).encode())
    found_D = np.random.default_rng(seed).normal(size=WIDE)
    return (found_D / np.linalg.norm(found_D)).astype(np.float32)


def made_clip(number: int) -> Features:
    """Ten frames of a video."""
    times_F = (np.arange(FRAMES) + 0.5) / FPS
    return Features(np.stack([np.full(FRAMES, float(number)), times_F], axis=1), times_F)


class Oracle:
    """A backbone that knows all videos it was shown, and all their texts.

    `turn` changes the label of a clip, which is (key, forwards) or (kind of event, True).
    """

    kinds = frozenset({"text", "video"})
    head, dimension, max_tokens = "last", WIDE, 512
    model = weights = prompts = "oracle"
    centre_D, limits = None, ()

    def __init__(self, turn: Callable[[Hashable], Hashable] = lambda label: label) -> None:
        self._turn = turn
        self._shown: list[Hashable] = []
        self._texts: dict[str, Hashable] = {}

    def see(self, source: GeneratedSource) -> WorldVideos:
        """The videos of a source with made features."""
        first = len(self._shown)
        opposites = len(source.scene(0).events) == 1 == len(source.scene(1).events)
        pair = {source.scene(n).events[0][1].kind for n in range(len(source))}
        if opposites and len(pair) == 2:
            self._learn_kinds(source, tuple(sorted(pair)))
        else:
            self._learn_captions(source)
        return WorldVideos(source, lambda number: made_clip(first + number))

    def _learn_kinds(self, source: GeneratedSource, pair: tuple[str, ...]) -> None:
        self._shown += [source.scene(n).events[0][1].kind for n in range(len(source))]
        for texts in chiral.texts_of((pair[0], pair[1]), "test"):
            self._texts |= {text: (kind, True) for text, kind in zip(texts, pair, strict=True)}

    def _learn_captions(self, source: GeneratedSource) -> None:
        for number in range(len(source)):
            example = source.example(number)
            self._shown.append(example.key)
            for text in (*example.captions, *example.details):
                self._texts.setdefault(text, (example.key, True))
            for text in example.backward:
                self._texts.setdefault(text, (example.key, False))

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        """One row after another, the last first."""
        for row in reversed(range(len(contents))):
            found_D = self._vector(contents[row])
            yield [row], States(found_D[None, None], np.ones((1, 1), np.bool_))

    def count_tokens(self, text: str) -> int:
        """Words."""
        return len(text.split())

    def vision(self, frames: object) -> Features:
        """There are no pixels."""
        raise AssertionError("a made video has no frames")

    def _vector(self, content: Content) -> np.ndarray:
        if content.clip is None:
            assert content.text is not None
            return vector(self._texts.get(content.text, content.text))
        number, times_F = int(content.clip.values_F[0, 0]), content.clip.values_F[:, 1]
        if len(times_F) == 1:
            return vector((number, float(times_F[0])))
        return vector(self._turn((self._shown[number], bool(times_F[-1] > times_F[0]))))


class Constant(Oracle):
    """Gives everything the same vector."""

    def _vector(self, content: Content) -> np.ndarray:
        return vector("all")
