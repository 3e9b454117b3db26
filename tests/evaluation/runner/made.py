"""A model that counts what it is asked, and benchmarks of real films for it."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from kinoscope.embedder import Embedder
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.kept import Kept
from kinoscope.evaluation.runner.run import Told, Wanted, evaluate
from kinoscope.evaluation.saved import Evaluation
from kinoscope.evaluation.tasks import BENCHMARKS
from kinoscope.evaluation.tasks.protocol import Options
from kinoscope.samples import write_video
from kinoscope.types import Content, Features, Frames, States
from tests.evaluation.tasks.toys import Colours, Seer, put

SHADES = {
    f"v{number}": (40 + 18 * number, 230 - 20 * number, (97 * number) % 256) for number in range(8)
}
TOLD = Told(model="made", command="kinoscope eval")


class Counting(Colours):
    """Knows shades by name, first frames from last ones, and counts frames and contents."""

    kinds = frozenset({"text", "video", "image", "composed"})
    dimension = 7

    def __init__(self, slow_s: float = 0.0) -> None:
        self.frames = self.contents = 0
        self.slow_s = slow_s

    def vision(self, frames: Frames) -> Features:
        self.frames += len(frames)
        return super().vision(frames)

    def states(self, contents: Sequence[Content]) -> Iterator[tuple[list[int], States]]:
        for row, content in enumerate(contents):
            self.contents += 1
            time.sleep(self.slow_s)
            found_D = np.full(self.dimension, 0.01)
            if content.text is not None:
                found_D[:3] += SHADES.get(content.text, (hash_of(content.text), 9, 99))
            if content.clip is not None:
                found_D[:3] += content.clip.values_F.mean(axis=0)
                found_D[3:6] += content.clip.values_F[0]
            unit_D = np.asarray(found_D / np.linalg.norm(found_D), np.float32)
            yield [row], States(unit_D[None, None], np.ones((1, 1), np.bool_))


def hash_of(text: str) -> int:
    """The same in each process."""
    return sum(text.encode()) % 200


def embedder(slow_s: float = 0.0) -> Embedder:
    return Embedder(Counting(slow_s), sampling=Seer.sampling)


def films(folder: Path, count: int = 4, *, first: int = 0) -> list[str]:
    """Writes films `videos/vN.mp4` of a shade that darkens; their names."""
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    names = [f"v{number}" for number in range(first, first + count)]
    for name in names:
        dark = np.linspace(1, 0.5, 16)[:, None, None, None]
        frames_FHWC = np.asarray(dark * np.full((16, 32, 32, 3), SHADES[name]), np.uint8)
        write_video(folder / "videos" / f"{name}.mp4", frames_FHWC, fps=8)
    return names


FILES: Mapping[str, Callable[[Sequence[str]], dict[str, object]]] = {
    "msr-vtt": lambda names: {
        "captions": "key,vid_key,video_id,sentence\n"
        + "".join(f"r{name},m{name},{name},{name}\n" for name in names)
    },
    "rtime": lambda names: {
        "captions": [
            {"video_id": n, "forward_caption": n, "reverse_caption": f"{n} back"} for n in names
        ]
    },
    "webvid-covr": lambda names: {
        "pairs": "pth1,pth2,edit\n" + "".join(f"{a},{b},{b}\n" for a, b in pairwise(names))
    },
    "charades-sta": lambda names: {"queries": "".join(f"{n} 0 1##{n}\n" for n in names)},
}


def benchmark(name: str, folder: Path, names: Sequence[str]) -> Path:
    """Writes the annotations of one beside the films."""
    usual = BENCHMARKS[name].files
    return put(folder, (), **{usual[role]: said for role, said in FILES[name](names).items()})


def measured(
    name: str,
    folder: Path,
    kept: Path,
    *,
    workers: int = 0,
    made: Embedder | None = None,
    **options,
) -> tuple[Evaluation, Counting]:
    """Runs one with a new model; the model says what it was asked."""
    model = made or embedder()
    asking = Asking(model, Kept(model.spec, kept), workers=workers)
    wanted = Wanted(name=name, folder=folder, options=Options(**options))
    backbone = model.backbone
    assert isinstance(backbone, Counting)
    return evaluate(wanted, asking, TOLD), backbone
