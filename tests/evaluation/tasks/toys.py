"""Made models for tasks, which know all labels or none, and folders in a benchmark's layout."""

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from kinoscope.errors import MediaError, UsageError
from kinoscope.evaluation.tasks import BENCHMARKS, run_benchmark
from kinoscope.evaluation.tasks.protocol import TaskResult
from kinoscope.sampling import SamplingConfig
from kinoscope.types import ClipEmbeddings, Content, Features, Frames, Span, States
from tests.evaluation.oracles import vector


class Seer:
    """Knows the label of each file, by its name without suffix, and of each text.

    Equal labels have equal vectors, others nearly orthogonal ones. What is labelled nowhere is its
    own label; a video with an edit is looked for as `(name, edit)`. `broken` files have no frames.
    """

    sampling = SamplingConfig(fps=2.0, min_frames=4, side_px=32, windows=(), clip_frames=4)

    def __init__(
        self,
        labels: Mapping[Hashable, Hashable] | None = None,
        *,
        broken: Sequence[str] = (),
        window_s: float = 2.0,
    ) -> None:
        self.labels, self.broken, self.window_s = dict(labels or {}), broken, window_s
        self.asked: list[Hashable] = []

    def encode_query(self, inputs):
        return np.stack([self._vector(each) for each in inputs])

    def encode_document(self, inputs):
        return np.stack([self._vector(each) for each in inputs])

    def encode_video(self, video: Path) -> ClipEmbeddings:
        """Labels of windows are those of `(name, start_s)`; a file's length is in its content."""
        whole_D = self._vector(video)
        end_s = float(video.read_text())
        starts = np.arange(0.0, end_s, self.window_s).tolist()
        spans = [Span(0.0, end_s), *(Span(s, min(s + self.window_s, end_s)) for s in starts)]
        windows = [self._of((video.stem, start)) for start in starts]
        scales = ("whole", *("2s" for _ in starts))
        return ClipEmbeddings(tuple(spans), scales, np.stack([whole_D, *windows]))

    def answer(self, video: Path, question: str, *, options: Sequence[str] = ()) -> str:
        self._readable(video)
        told = self.labels.get((video.stem, question), "")
        if options and told not in options:
            return options[0]
        return str(told)

    def _vector(self, given) -> np.ndarray:
        if isinstance(given, Mapping):
            self._readable(given["video"])
            return self._of((given["video"].stem, given["text"]))
        if isinstance(given, Path):
            self._readable(given)
            return self._of(given.stem)
        assert isinstance(given, str), f"{type(given)} has no label"
        return self._of(given)

    def _of(self, name: Hashable) -> np.ndarray:
        self.asked.append(name)
        return vector(self.labels.get(name, name))

    def _readable(self, path: Path) -> None:
        if not path.exists():
            raise UsageError(f"{path} is asked for but is not there")
        if path.stem in self.broken:
            raise MediaError("no_frames", f"{path.name} has no frames")


class Blank(Seer):
    """Gives everything the same vector and the same answer."""

    def _of(self, name: Hashable) -> np.ndarray:
        return vector("all")

    def answer(self, video: Path, question: str, *, options: Sequence[str] = ()) -> str:
        return options[0] if options else ""


COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220)}


class Colours:
    """A backbone that knows two colours, of frames by their mean, of texts by name."""

    kinds = frozenset({"text", "video"})
    head, dimension, max_tokens = "last", 3, 512
    model = weights = prompts = "colours"
    centre_D, limits = None, ()

    def count_tokens(self, text: str) -> int:
        return len(text.split())

    def vision(self, frames: Frames) -> Features:
        means_FD = frames.rgb_FHWC.mean(axis=(1, 2)).astype(np.float32)
        return Features(means_FD, frames.times_F)

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        for row, content in enumerate(contents):
            known_D = np.array(COLOURS.get(content.text or "", (1, 1, 1)), np.float32)
            found_D = known_D if content.clip is None else content.clip.values_F.mean(axis=0)
            unit_D = np.asarray(found_D / np.linalg.norm(found_D), np.float32)
            yield [row], States(unit_D[None, None], np.ones((1, 1), np.bool_))


def put(folder: Path, videos: Sequence[str], content: str = "4", **files: object) -> Path:
    """Writes a benchmark's files, `captions="..."` or as JSON, and stand-ins for its videos."""
    for name in videos:
        place = folder / "videos" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    for name, said in files.items():
        (folder / name).write_text(said if isinstance(said, str) else json.dumps(said))
    return folder


def run(name: str, folder: Path, model: Seer, **files: object) -> TaskResult:
    """Runs a benchmark on files that are put under its usual names, by role."""
    usual = BENCHMARKS[name].files
    put(folder, (), **{usual[role]: said for role, said in files.items()})
    return run_benchmark(name, folder, model)


def means(result: TaskResult) -> dict[str, float]:
    """Its figures, rounded."""
    return {name: round(metric.value, 4) for name, metric in result.metrics.items()}
