"""Cells of the fault matrix in which the power fails: what was not flushed is gone, or torn.

Every flush of this project goes through `os.fsync`, so that a recorder of its calls knows what a
disk must still hold. Before and after each call the surviving disk is made, in three ways, and the
index on it is opened, mended where need be, and compared. Beside it, where one may mount: a real
ext4 whose device is copied when its writer dies.
"""

import os
import random
import resource
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from unittest.mock import patch

from kinoscope.errors import IndexFault
from kinoscope.index.build import BuildOptions, update
from kinoscope.index.manifest import read_manifest
from kinoscope.index.place import Folder
from kinoscope.index.rows import FileRow
from kinoscope.index.store import Store
from kinoscope.types import ClipEmbeddings
from recipes.crash import Tables, read_tables
from recipes.fault_bench import Bench, Cell, ended
from recipes.fault_deeds import deed
from recipes.fault_disks import MayNotMount, mounted, new_ext4
from tests.index.pixels import embedder

WAYS = ("flushed alone", "names survive", "torn")
"""Nothing but what was flushed; all names, with flushed content alone; each file by chance."""
_NOTHING = Tables({}, {})


@dataclass
class Disk:
    """Knows of one folder what was flushed: the content of files, and the names in folders."""

    folder: Path
    contents: dict[int, bytes] = field(default_factory=dict)
    names: dict[str, dict[str, int]] = field(default_factory=dict)
    pins: list[int] = field(default_factory=list)  # open files, so that no inode is used again

    def flushed(self, path: Path, descriptor: int) -> None:
        """Notes what `os.fsync` has just done."""
        if path.is_dir():
            self.names[str(path)] = {entry.name: entry.stat().st_ino for entry in path.iterdir()}
            return
        self.contents[path.stat().st_ino] = path.read_bytes()
        self.pins.append(os.dup(descriptor))

    def survive(self, way: str, place: Path, chance: random.Random) -> None:
        """Writes what is left after a power cut now."""
        place.mkdir(parents=True)
        if way == "flushed alone":
            self._write_flushed(self.folder, place)
        else:
            self._write_present(place, chance if way == "torn" else None)

    def _write_flushed(self, folder: Path, place: Path) -> None:
        for name, inode in self.names.get(str(folder), {}).items():
            path = folder / name
            if str(path) in self.names or path.is_dir():
                (place / name).mkdir()
                self._write_flushed(path, place / name)
            else:
                (place / name).write_bytes(self.contents.get(inode, b""))

    def _write_present(self, place: Path, chance: random.Random | None) -> None:
        for folder, _, names in os.walk(self.folder):
            target = place / Path(folder).relative_to(self.folder)
            target.mkdir(exist_ok=True)
            for name in names:
                path = Path(folder, name)
                flushed, now = self.contents.get(path.stat().st_ino), path.read_bytes()
                if flushed != now and chance:
                    flushed = _torn(now, chance)
                if flushed != b"" or not chance:
                    (target / name).write_bytes(flushed or b"")


def _torn(content: bytes, chance: random.Random) -> bytes:
    """Absent or empty, full of zeros, the first half, or whole."""
    return chance.choice((b"", bytes(len(content)), content[: len(content) // 2], content))


@dataclass
class Power:
    """Cuts the power in a simulation at moments drawn by chance, and keeps what survives.

    Attributes:
        disk: with the index.
        place: where surviving disks are written.
        chance: draws the moments, and what is torn.
        share: of all moments.
        wanted: what a caller was told is done.
        cuts: (way, surviving index, what must be there).
    """

    disk: Disk
    place: Path
    chance: random.Random
    share: float
    wanted: Tables = _NOTHING
    cuts: list[tuple[str, Path, Tables]] = field(default_factory=list)

    @contextmanager
    def may_fail(self) -> Iterator[None]:
        """The power may fail before and after every flush."""
        fsync = os.fsync

        def noting(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            ours = path.is_relative_to(self.disk.folder)
            if ours:
                self._perhaps()
            fsync(descriptor)
            if ours:
                self.disk.flushed(path, descriptor)
                self._perhaps()

        with patch("os.fsync", noting):
            yield

    def _perhaps(self) -> None:
        if self.chance.random() >= self.share:
            return
        way = WAYS[len(self.cuts) % len(WAYS)]
        survivor = self.place / f"cut-{len(self.cuts)}"
        self.disk.survive(way, survivor, self.chance)
        self.cuts.append((way, survivor, self.wanted))


class _Promising(Store):
    """Tells a power of what its callers are told."""

    def __init__(self, folder: Path, power: Power) -> None:
        super().__init__(Folder(folder), read_manifest(folder))
        self.power = power

    def commit(
        self, videos: Sequence[tuple[str, ClipEmbeddings]], files: Sequence[FileRow]
    ) -> None:
        super().commit(videos, files)
        self.power.wanted = read_tables(self.folder)

    def remove(self, paths: Sequence[str]) -> int:
        self.power.wanted = _without(self.power.wanted, set(paths))
        return super().remove(paths)


def _without(tables: Tables, paths: set[str]) -> Tables:
    return _of(tables, set(tables.files) - paths)


def _of(tables: Tables, paths: set[str]) -> Tables:
    """Some paths, with the clips of their videos."""
    files = {path: tables.files[path] for path in paths}
    videos = {row.video_id for row in files.values() if row.state == "indexed"}
    clips = {key: clip for key, clip in tables.clips.items() if key.partition(":")[0] in videos}
    return Tables(clips, files)


def power_cuts(bench: Bench, share: float) -> Cell:
    """A simulation: an index is made, grows, shrinks, is compacted and grows again."""
    cell, chance = Cell(name="power cut, simulated"), bench.chance("power")
    _allow_many_files()
    index = (bench.work / "powered").resolve()
    index.mkdir()
    power = Power(Disk(index), bench.work / "cuts", chance, share)
    power.place.mkdir()
    with power.may_fail():
        _live(index, bench, power)
    for descriptor in power.disk.pins:
        os.close(descriptor)
    for number, (way, survivor, wanted) in enumerate(power.cuts):
        before = cell.wrong
        _come_back(cell, survivor, wanted, bench.truth)
        if number % 10 == 0:
            code, said = ended(deed("index", bench.library, survivor))
            cell.expect(code == 0, f"afterwards: {said}")
            cell.compare(survivor, bench.truth, bench.truth)
        cell.cases += 1
        cell.expect(cell.wrong == before, f"cut {number}, {way}")
        shutil.rmtree(survivor)
    return cell


def _live(index: Path, bench: Bench, power: Power) -> None:
    """Every kind of write."""
    Store.create(index, embedder().spec)
    store = _Promising(index, power)
    options = BuildOptions(commit_videos=1)
    films = sorted(bench.library.iterdir())
    update(store, films[: len(films) // 2], embedder(), options=options)
    update(store, [bench.library], embedder(), options=options)
    store.remove([str(path) for path in films[::3]])
    with patch("kinoscope.index.store.KEEP_OLD_VERSIONS", timedelta(milliseconds=1)):
        store.compact()
    update(store, [bench.library], embedder(), options=options)


def _come_back(cell: Cell, index: Path, wanted: Tables, truth: Tables) -> None:
    """The power is there again: what cannot be opened is mended first."""
    try:
        read_tables(index)
    except IndexFault:
        cell.mend(index)
    cell.compare(index, wanted, truth)


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def power_cuts_of_a_device(bench: Bench, cuts: int) -> Cell:
    """A real ext4: its device is copied as it is when the writer dies, and mounted again."""
    cell, chance = Cell(name="power cut, ext4 device"), bench.chance("device")
    try:
        for number in range(cuts):
            image, place = bench.work / f"device-{number}.img", bench.work / f"device-{number}"
            with mounted(new_ext4(image), place):
                told = _killed(deed("index_aloud", bench.library, place / "index"), chance)
                shutil.copyfile(image, image.with_suffix(".cut"))
            image.unlink()
            wanted = _of(bench.truth, told)
            with mounted(image.with_suffix(".cut"), place):
                _come_back(cell, place / "index", wanted, bench.truth)
                code, said = ended(deed("index", bench.library, place / "index"))
                cell.expect(code == 0, f"afterwards: {said}")
                cell.compare(place / "index", bench.truth, bench.truth)
            image.with_suffix(".cut").unlink()
            cell.cases += 1
    except MayNotMount as error:
        cell.skipped = str(error)
    return cell


def _killed(command: list[str], chance: random.Random) -> set[str]:
    """Kills a deed that tells of its commits, some time after the first; which paths it told."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline(), process.stdout.readline()]
        time.sleep(chance.uniform(0, 1.5))
        process.kill()
        told += process.stdout.read().splitlines()
    return {line.strip() for line in told[1:]} - {""}
