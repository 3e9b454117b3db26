"""Indexing pipelines of other tools, run by their own code, with the encoder of ours.

    python -m recipes.peer_pipelines NAME VIDEOS OUT

Each is given the folder VIDEOS and leaves its index in OUT. What is not the tool's own is said in
`TOLD`. rclip and clip-retrieval index pictures: their users write frames by ffmpeg first, one a
second.
"""

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from kinoscope.backbones.concepts import Concepts
from kinoscope.heads import normalise
from kinoscope.libraries import imported, torch
from kinoscope.types import Float32, Frames, UInt8
from kinoscope.weights import SIDE_PX, model_files

TOLD = {
    "framesieve": "framesieve itself: its ffmpeg pipe, build and Lance file; the encoder is ours,"
    " the container is read by PyAV where it asks ffprobe",
    "rclip": "rclip itself, on frames that ffmpeg wrote as JPEG: its walk, hashes, loaders, SQLite;"
    " the encoder and its preprocessing are ours",
    "clip-retrieval": "its own reader, runner, writer, and autofaiss by its index step, on frames"
    " that ffmpeg wrote as JPEG; the mapper that would load a CLIP is ours",
}
DIMENSION = 384


@dataclass(frozen=True)
class Encoder:
    """The built-in model, one unit vector a frame."""

    backbone: Concepts

    def rows(self, rgb_FHWC: UInt8) -> Float32:
        """RGB of 260 x 260 [F, H, W, 3] -> [F, 384]."""
        frames = Frames(np.ascontiguousarray(rgb_FHWC), np.arange(len(rgb_FHWC), dtype=np.float64))
        return normalise(np.asarray(self.backbone.vision(frames).values_F, np.float32))


@dataclass(frozen=True)
class Run:
    """What a pipeline is given: an encoder, films, and a folder to write to."""

    encoder: Encoder
    films: Sequence[Path]
    out: Path


def framesieve(run: Run) -> int:
    """An index a film, as its command writes it."""
    index = imported("framesieve.index", "framesieve")
    frames = imported("framesieve.frames", "framesieve")

    def probe(path: str) -> Any:
        return frames.SourceInfo(path=path, **_facts(path))

    index.probe_source = frames.probe_source = probe
    adapter = SimpleNamespace(
        encode_frames=lambda pixels: torch().from_numpy(run.encoder.rows(pixels.numpy())),
        spec=SimpleNamespace(dim=DIMENSION, key="concepts", revision=""),
    )
    seen = 0
    for film in run.films:
        found = index.build_index(str(film), adapter, size=SIDE_PX, verbose=False)
        found.save(str(run.out / f"{film.stem}.lance"))
        seen += len(found.ts)
    return seen


def _facts(path: str) -> dict[str, Any]:
    """What ffprobe says of a film."""
    import av

    with av.open(path) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate or 0)
        duration_s = (container.duration or 0) / 1e6
        return {
            "duration_s": duration_s,
            "fps": fps,
            "width": stream.width,
            "height": stream.height,
            "codec": stream.codec.name,
            "n_frames_est": stream.frames or int(duration_s * fps),
        }


def rclip(run: Run) -> int:
    """Pictures of all films in one SQLite file."""
    main, db = imported("rclip.main", "rclip"), imported("rclip.db", "rclip")
    pictures = write_pictures(run)
    main.preprocess = _square

    def features(images: Sequence[UInt8], *, for_indexing: bool) -> Float32:
        return run.encoder.rows(np.stack(images))

    database = db.DB(run.out / "db.sqlite3")
    model = SimpleNamespace(compute_preprocessed_image_features=features)
    tool = main.RClip(model, database, 8, None)
    tool.ensure_index(str(pictures))
    tool.close()
    database.close()
    return _remove_pictures(pictures)


def clip_retrieval(run: Run) -> int:
    """Pictures of all films as float16 vectors, and an index by autofaiss."""
    _without_its_commands("clip_retrieval", "clip_retrieval.clip_inference")
    parts = {
        name: imported(f"clip_retrieval.clip_inference.{name}", "clip-retrieval")
        for name in ("runner", "reader", "writer")
    }
    index = imported("clip_retrieval.clip_index", "clip-retrieval")
    pictures, embeddings = write_pictures(run), run.out / "embeddings"

    def read(sampler: Any) -> Any:
        def prepared(picture: Any) -> Any:
            return torch().from_numpy(_square(picture))

        only_pictures = {"enable_text": False, "enable_image": True}
        return parts["reader"].FilesReader(
            sampler, prepared, None, str(pictures), 256, 2, **only_pictures
        )

    def write(part: int) -> Any:
        return parts["writer"].NumpyWriter(part, str(embeddings), False, True, False, 1)

    def embedded(batch: dict[str, Any]) -> dict[str, Any]:
        rows = run.encoder.rows(batch["image_tensor"].numpy()).astype(np.float16)
        nothing = dict.fromkeys(("text_embs", "text", "metadata"))
        return {"image_embs": rows, "image_filename": batch["image_filename"], **nothing}

    tool = parts["runner"].Runner(read, lambda: embedded, write, _Silent, 1)
    tool(0)
    (run.out / "index").mkdir()
    # autofaiss tells its figures as JSON, in numbers of NumPy 2 that JSON does not know
    setattr(json.JSONEncoder, "default", lambda _self, number: number.item())  # noqa: B010
    index.quantize(
        str(embeddings / "img_emb"), str(run.out / "index"), "image", "4G", "16G", nb_cores=None
    )
    return _remove_pictures(pictures)


class _Silent:
    """In place of its log of speeds."""

    def __init__(self, part: int) -> None:
        self.part = part

    def start(self) -> None:
        """It does nothing."""

    def end(self) -> None:
        """It does nothing."""

    def __call__(self, _told: dict[str, Any]) -> None:
        """It does nothing."""


def _without_its_commands(*names: str) -> None:
    """Its modules without what their packages import first: servers, downloads, other models."""
    for name in names:
        place = next(p for p in (Path(e) / Path(*name.split(".")) for e in sys.path) if p.is_dir())
        package = ModuleType(name)
        package.__path__ = [str(place)]
        sys.modules[name] = package


def write_pictures(run: Run) -> Path:
    """A frame a second of each film as JPEG, by ffmpeg."""
    pictures = run.out / "pictures"
    for film in run.films:
        place = pictures / film.stem
        place.mkdir(parents=True)
        command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(film), "-vf", "fps=1"]
        subprocess.run([*command, "-q:v", "2", str(place / "%06d.jpg")], check=True)
    return pictures


def _remove_pictures(pictures: Path) -> int:
    """Their number; they are no part of an index that is weighed."""
    count = len(list(pictures.rglob("*.jpg")))
    shutil.rmtree(pictures)
    return count


def _square(picture: Any) -> UInt8:
    """A picture of Pillow as RGB of 260 x 260 [H, W, 3]."""
    return np.asarray(picture.convert("RGB").resize((SIDE_PX, SIDE_PX), 2))  # 2: bilinear


PIPELINES: dict[str, Callable[[Run], int]] = {
    "framesieve": framesieve,
    "rclip": rclip,
    "clip-retrieval": clip_retrieval,
}


def films_of(folder: Path) -> Iterator[Path]:
    """Films of a folder, by name."""
    yield from sorted(folder.glob("*.mp4"))


def main(name: str, videos: Path, out: Path) -> None:
    """Indexes all films by one pipeline; prints how many frames it looked at."""
    run = Run(encoder=Encoder(Concepts(model_files())), films=list(films_of(videos)), out=out)
    with contextlib.redirect_stdout(sys.stderr):
        frames = PIPELINES[name](run)
    print(json.dumps({"frames": frames}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
