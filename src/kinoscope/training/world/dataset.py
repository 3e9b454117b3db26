"""Data sets of the world: a folder of MP4 files and their records, made by worker processes."""

import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path

from kinoscope.errors import SetupError, UsageError
from kinoscope.runtime import usable_cores
from kinoscope.samples.writing import write_video
from kinoscope.training.world.chance import sample
from kinoscope.training.world.config import WorldConfig
from kinoscope.training.world.records import Record, describe_scene
from kinoscope.training.world.render import SIDE_PX, frame_times, render
from kinoscope.training.world.scene import SPLITS, Scene, reverse
from kinoscope.training.world.splits import VERSION
from kinoscope.training.world.tasks import edits
from kinoscope.types import Frames

MANIFEST = "world.json"
RECORDS = "records.jsonl"
_REPORT_EVERY = 100

Report = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class MakeConfig:
    """What to make.

    Attributes:
        split: `train`, `validation` or `test`.
        count: how many videos, of the seeds `first_seed` onward.
        size: width and height in pixels, even.
        partners: also write each video's reversal and the targets of its edits.
        world: what kind of scenes.
    """

    split: str
    count: int
    first_seed: int = 0
    fps: float = 8.0
    size: tuple[int, int] = (SIDE_PX, SIDE_PX)
    partners: bool = False
    world: WorldConfig = field(default_factory=WorldConfig)

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise UsageError(f"split {self.split!r}: choose {', '.join(SPLITS)}")
        if not 1 <= self.count <= 10_000_000:
            raise UsageError(f"{self.count} videos: choose 1 or more")
        if self.first_seed < 0:
            raise UsageError(f"seed {self.first_seed}: choose 0 or more")
        if not 1 <= self.fps <= 60:
            raise UsageError(f"{self.fps} frames a second: choose 1 to 60")
        if not all(32 <= side <= 2048 and side % 2 == 0 for side in self.size):
            raise UsageError(
                f"frames of {self.size[0]}x{self.size[1]} px: choose even sides of 32 to 2048"
            )

    @property
    def manifest(self) -> dict[str, object]:
        """What two data sets must share to be the same, in plain JSON."""
        content = json.loads(json.dumps(asdict(self)))
        return {"edition": VERSION, **content}


def make(
    folder: Path, config: MakeConfig, *, workers: int | None = None, report: Report | None = None
) -> tuple[Record, ...]:
    """Writes the data set into a folder that is new, empty or holds the same one unfinished.

    Each file appears whole or not at all; after a kill the next run keeps what is there and ends
    with the same files. Raises `UsageError` for a foreign folder, `SetupError` when the disk
    refuses or the sprites are missing.
    """
    if workers is not None and workers < 1:
        raise UsageError(f"{workers} workers: choose 1 or more")
    tell = report or (lambda _line: None)
    try:
        _open(folder, config)
        lines = []
        for number, line in enumerate(_made(folder, config, workers or usable_cores()), start=1):
            lines.append(line)
            if number % _REPORT_EVERY == 0 or number == config.count:
                tell(f"{number} of {config.count} videos")
        _write_whole(folder / RECORDS, "".join(f"{line}\n" for line in lines))
    except OSError as error:
        reason = error.strerror or error
        raise SetupError(f"cannot write to {folder}: {reason}; free or unlock it") from error
    return tuple(Record.from_json(line) for line in lines)


def read(folder: Path) -> tuple[Record, ...]:
    """The records of a finished data set; `UsageError` unless it is one, complete."""
    try:
        content = (folder / RECORDS).read_bytes()
    except OSError:
        raise UsageError(
            f"no finished world in {folder}: kinoscope world make --to {folder}"
        ) from None
    lines = enumerate(content.splitlines(), start=1)
    records = tuple(_record(line, f"{folder / RECORDS}, line {number}") for number, line in lines)
    missing = next((r.file for r in records if not (folder / r.file).is_file()), None)
    if missing is not None:
        raise UsageError(f"{folder} lacks {missing}: run kinoscope world make on it again")
    return records


def _record(line: bytes, where: str) -> Record:
    try:
        return Record.from_json(line)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error


def _open(folder: Path, config: MakeConfig) -> None:
    manifest = folder / MANIFEST
    if manifest.exists():
        try:
            known = json.loads(manifest.read_text(encoding="utf-8"))
        except ValueError:
            known = None
        if known != config.manifest:
            raise UsageError(f"{folder} holds another world: choose a new folder, or remove it")
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds other files: choose a new or empty folder")
    (folder / "videos").mkdir(parents=True, exist_ok=True)
    _write_whole(manifest, json.dumps(config.manifest, indent=1) + "\n")


def _made(folder: Path, config: MakeConfig, workers: int) -> Iterator[str]:
    """The records' lines in order of seeds, while workers write the videos."""
    jobs = [_Job(folder, config, config.first_seed + n) for n in range(config.count)]
    if workers == 1 or config.count == 1:
        yield from map(_write_one, jobs)
        return
    context = multiprocessing.get_context("spawn")
    count = min(workers, config.count)
    with ProcessPoolExecutor(count, context, initializer=_end_with_parent) as pool:
        # where this ends early, by an error or by Ctrl-C, `map` cancels the jobs that wait
        yield from pool.map(_write_one, jobs, chunksize=max(1, min(8, config.count // workers)))


def _end_with_parent() -> None:
    """Ends this worker when its parent is killed; else it would write on, then wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@dataclass(frozen=True)
class _Job:
    folder: Path
    config: MakeConfig
    seed: int


def _write_one(job: _Job) -> str:
    config = job.config
    scene = sample(config.split, job.seed, config.world)
    record = describe_scene(scene, partners=config.partners)
    _write_scene(job, record.file, scene)
    if record.reversed_file is not None:
        _write_scene(job, record.reversed_file, reverse(scene))
        targets = {edit.kind: edit.scene for edit in edits(scene)}
        for edit in record.edits:
            assert edit.file is not None
            _write_scene(job, edit.file, targets[edit.kind])
    return record.to_json()


def _write_scene(job: _Job, file: str, scene: Scene) -> None:
    target = job.folder / file
    if target.exists():
        return
    config = job.config
    frames = render(scene, frame_times(scene.duration_s, config.fps), config.size)
    draft = target.with_name(f".{target.name}.part")  # a kill leaves this, the next run redoes it
    _encode(draft, frames, config.fps)
    draft.replace(target)


def _encode(path: Path, frames: Frames, fps: float) -> None:
    from av.error import PyAVCallbackError

    try:
        write_video(path, frames.rgb_FHWC, fps=fps)
    except PyAVCallbackError as error:  # what PyAV makes of a disk that refuses
        refusal = error.__context__
        raise (refusal if isinstance(refusal, OSError) else error) from None


def _write_whole(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
