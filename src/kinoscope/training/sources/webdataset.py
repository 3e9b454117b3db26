"""WebDataset shards: tar files whose members belong together by their name up to the first dot.

`000123.mp4` with `000123.txt` (a caption) or `000123.json` (an object as in a JSONL of captions,
without `video`). Members are found once and read where they lie.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from kinoscope.clips import read_clip
from kinoscope.errors import MediaError, SetupError, UsageError
from kinoscope.sampling import SamplingConfig
from kinoscope.training.sources import fields
from kinoscope.training.sources.captions import known_of
from kinoscope.training.sources.folder import number_in
from kinoscope.training.sources.problems import Problems, Unfit
from kinoscope.training.sources.protocol import Example
from kinoscope.training.sources.rows import json_object
from kinoscope.training.sources.tar_index import Member, members
from kinoscope.types import Frames, Span
from kinoscope.video.opening import VIDEO_SUFFIXES

_TEXT_BYTES = 2**22
_RANGE = re.compile(r"\{(\d{1,9})\.\.(\d{1,9})\}", re.ASCII)
_MOST_SHARDS = 100_000
_PIECE_BYTES = 2**20


class WebDataset:
    """A `Source` of videos in tar files."""

    def __init__(
        self,
        shards: str | Sequence[str | Path],
        *,
        overlaps: Sequence[str],
        name: str = "webdataset",
        strict: bool = False,
        max_video_bytes: int = 2**32,
    ) -> None:
        """Finds all members.

        Args:
            shards: paths, or one with a range: `clips-{000000..000012}.tar`.
            overlaps: benchmarks whose test texts or videos may be among these; `()` if none are.
            strict: raise `UsageError` at the first unfit member instead of noting it.
            max_video_bytes: a larger video is left out.

        Raises `UsageError` for a file that is no tar, or if nothing is left.
        """
        self.name, self.overlaps = name, tuple(overlaps)
        self.problems = Problems(name, strict=strict)
        self._digest, self._most_bytes = hashlib.sha256(), max_video_bytes
        paths = expand(shards)
        self._states = {path: _state(path) for path in paths}
        self._items: list[tuple[Example, Member]] = []
        self._numbers: dict[str, int] = {}
        for path in paths:
            for sample in _samples(members(path, self.problems)):
                with self.problems.at(sample.where):
                    self._add(sample)
        self.fingerprint = self._digest.hexdigest()
        del self._digest  # a hash cannot be sent to another process
        if not self._items:
            raise UsageError(f"{name} has no video to learn from: {self.problems.describe()}")

    def __len__(self) -> int:
        return len(self._items)

    def example(self, number: int) -> Example:
        """See `Source`."""
        return self._items[number][0]

    def key(self, number: int) -> str:
        """See `Source`."""
        return self._items[number][0].key

    def number_of(self, key: str) -> int:
        """See `Source`."""
        return number_in(self._numbers, key, self.name)

    def identity(self, number: int) -> str:
        """By shard, its size and time of change, and the member's place."""
        member = self._items[number][1]
        self._check_same(member.shard)
        size_bytes, changed_ns = self._states[member.shard]
        where = f"{member.offset} {member.size_bytes}"
        return f"tar {member.shard.name} {size_bytes} {changed_ns} {where}"

    def file(self, number: int) -> AbstractContextManager[Path]:
        """A temporary copy, which goes with the context."""
        return self._copied(self._items[number][1])

    def frames(self, number: int, sampling: SamplingConfig, span: Span | None = None) -> Frames:
        """See `Source`."""
        with self.file(number) as path:
            return read_clip(path, sampling, span)

    def _add(self, sample: "_Sample") -> None:
        if sample.key in self._numbers:
            raise Unfit("duplicate", "the name was there before: each names one video")
        videos = [m for ending, m in sample.parts.items() if _is_video(ending)]
        if len(videos) != 1:
            raise Unfit("video", f"{len(videos)} videos of this name: pack one with its text")
        (video,) = videos
        if not 0 < video.size_bytes <= self._most_bytes:
            raise Unfit(
                "size", f"a video of {video.size_bytes} bytes: pack 1 to {self._most_bytes}"
            )
        known = replace(self._known(sample), key=sample.key)
        self._digest.update(f"{known!r}\0{video.size_bytes}\n".encode())
        self._numbers[sample.key] = len(self._items)
        self._items.append((known, video))

    def _known(self, sample: "_Sample") -> Example:
        known, where = Example(key=""), sample.where
        if "json" in sample.parts:
            values = json_object(_text(sample.parts["json"]))
            known = known_of(values, self.problems, where)
        if "txt" in sample.parts:
            said = fields.text(_text(sample.parts["txt"]), "the caption")
            known = replace(known, captions=tuple(dict.fromkeys((said, *known.captions))))
        if known == Example(key=known.key, duration_s=known.duration_s):
            raise Unfit("text", "no .txt or .json that says anything: pack a caption with it")
        for ending in sample.parts:
            if ending not in ("json", "txt") and not _is_video(ending):
                self.problems.add("field", where, f".{ending[:40]} is not read: passed over")
        return known

    def _check_same(self, shard: Path) -> None:
        try:
            same = _state(shard) == self._states[shard]
        except UsageError as error:
            raise MediaError("missing", str(error)) from None
        if not same:
            raise MediaError("changed", f"{shard} is another file than at the start: begin again")

    @contextmanager
    def _copied(self, member: Member) -> Iterator[Path]:
        self._check_same(member.shard)
        with tempfile.TemporaryDirectory(prefix="kinoscope-shard-") as folder:
            copy = Path(folder) / PurePosixPath(member.name).name[-100:]  # for messages
            try:
                with member.shard.open("rb") as shard, copy.open("wb") as stream:
                    shard.seek(member.offset)
                    left = member.size_bytes
                    while left and (piece := shard.read(min(left, _PIECE_BYTES))):
                        stream.write(piece)
                        left -= len(piece)
            except OSError as error:
                raise SetupError(
                    f"cannot copy {member.name} of {member.shard} to {folder} ({error.strerror}):"
                    " free space there, or set TMPDIR"
                ) from error
            yield copy


@dataclass
class _Sample:
    """Members of one name, by what stands behind its first dot."""

    key: str
    parts: dict[str, Member]

    @property
    def where(self) -> str:
        """For a problem."""
        return f"{next(iter(self.parts.values())).shard.name} {self.key[:200]}"


def expand(shards: str | Sequence[str | Path]) -> list[Path]:
    """`a-{08..10}.tar` -> a-08.tar, a-09.tar, a-10.tar; `UsageError` for none, or one twice."""
    paths = _ranged(shards) if isinstance(shards, str) else [Path(path) for path in shards]
    if not paths or len(set(paths)) < len(paths):
        raise UsageError(f"shards {shards}: give at least one, each once")
    return paths


def _ranged(pattern: str) -> list[Path]:
    found = _RANGE.search(pattern)
    if found is None:
        return [Path(pattern)]
    first, last = (int(edge) for edge in found.groups())
    if not 0 <= last - first < _MOST_SHARDS:
        raise UsageError(f"shards {pattern}: give an ascending range of below {_MOST_SHARDS}")
    before, behind = pattern[: found.start()], pattern[found.end() :]
    width = len(found[1])
    return [Path(f"{before}{number:0{width}}{behind}") for number in range(first, last + 1)]


def _samples(found: Iterator[Member]) -> Iterator[_Sample]:
    """Neighbours of the same name; directories are none."""
    sample: _Sample | None = None
    for member in found:
        path = PurePosixPath(member.name)
        stem, _, ending = path.name.partition(".")
        key = str(path.parent / stem)
        if sample is None or key != sample.key or ending.lower() in sample.parts:
            if sample is not None:
                yield sample
            sample = _Sample(key, {})
        sample.parts[ending.lower()] = member
    if sample is not None:
        yield sample


def _is_video(ending: str) -> bool:
    return f".{ending}" in VIDEO_SUFFIXES


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror}): check the path") from error
    return found.st_size, found.st_mtime_ns


def _text(member: Member) -> str:
    if member.size_bytes > _TEXT_BYTES:
        raise Unfit("size", f"{member.name[:200]} has {member.size_bytes} bytes: give less")
    with member.shard.open("rb") as stream:
        stream.seek(member.offset)
        data = stream.read(member.size_bytes)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unfit("encoding", f"{member.name[:200]} is not UTF-8: save it as such") from None
