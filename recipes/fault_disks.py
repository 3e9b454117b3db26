"""Cells of the fault matrix in which the disk refuses: full, read-only, permission taken away."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from kinoscope.errors import IndexFault
from kinoscope.index.store import Store
from recipes.crash import Tables, read_tables
from recipes.fault_bench import Bench, Cell, ended
from recipes.fault_deeds import deed

_WITHOUT_PRIVILEGE = [
    *("setpriv", "--inh-caps=-dac_override,-dac_read_search"),
    "--bounding-set=-dac_override,-dac_read_search",
]
"""Of the superuser, for whom permissions else do not count."""
_NOTHING = Tables({}, {})


class MayNotMount(Exception):
    """This user, or this system, mounts no file systems."""


def full_by_file_size(bench: Bench, sizes: int) -> Cell:
    """A limit on the size of a file, which any user may set: writes fail as on a full disk."""
    cell = Cell(name="disk full: limit on file size")
    for number in range(sizes):
        limit = 1000 + 3000 * number // sizes
        index = bench.work / f"limit-{number}"
        code, said = ended(deed("index_in_short_files", bench.library, index, limit))
        cell.expect(code == 0 or "disk is full at" in said, f"limit {limit}: {code} {said}")
        _look(cell, index, bench)
        _go_on(cell, bench, index)
    return cell


def full_small_disk(bench: Bench, sizes: int) -> Cell:
    """File systems in memory on which the index finds room for nothing, for a part, for most."""
    return _on_disks(bench, "disk full: small file system", _tmpfs, sizes)


def full_by_others(bench: Bench, sizes: int) -> Cell:
    """An ext4 of which another program takes all but some blocks."""
    return _on_disks(bench, "disk full: others took the room", _ext4, sizes)


Disk = Callable[[Path, int], "Iterator[Callable[[], None]]"]


def _on_disks(bench: Bench, name: str, disk: Disk, sizes: int) -> Cell:
    cell = Cell(name=name)
    needed = sum(path.stat().st_size for path in bench.undisturbed.rglob("*")) + 4096 * 8
    try:
        for number in range(sizes):
            place = bench.work / f"{disk.__name__}-{number}"
            room = needed * (number + 1) // sizes
            with contextmanager(disk)(place, room) as free:
                index = place / "index"
                code, said = ended(deed("index", bench.library, index))
                cell.expect(code == 0 or "disk is full at" in said, f"{room} bytes: {code} {said}")
                _look(cell, index, bench)
                free()
                _go_on(cell, bench, index)
    except MayNotMount as error:
        cell.skipped = str(error)
    return cell


def read_only(bench: Bench) -> Cell:
    """A disk becomes read-only: what is there can be searched, writing is refused in a sentence."""
    cell = Cell(name="disk read-only")
    place = bench.work / "read-only"
    try:
        with contextmanager(_tmpfs)(place, 2**26):
            index = Path(shutil.copytree(bench.undisturbed, place / "index"))
            _run("mount", "-o", "remount,ro", str(place))
            cell.compare(index, bench.truth, bench.truth)
            for name, paths in (("index", (bench.library, index)), ("remove", (index,))):
                code, said = ended(deed(name, *paths))
                cell.expect(code == 4 and "Read-only file system" in said, f"{name}: {said}")
            _run("mount", "-o", "remount,rw", str(place))
            _go_on(cell, bench, index)
    except MayNotMount as error:
        cell.skipped = str(error)
    return cell


def permission_lost(bench: Bench, times: int) -> Cell:
    """The index loses its write permission before a run, or in the middle of one."""
    cell = Cell(name="permission lost")
    prefix = _WITHOUT_PRIVILEGE if os.geteuid() == 0 else []
    if prefix and not shutil.which("setpriv"):
        cell.skipped = "the superuser may write anywhere, and there is no setpriv"
        return cell
    for number in range(times):
        index = bench.copy(f"permission-{number}")
        Store.open(index).remove(sorted(bench.truth.files)[: 3 + number])
        wanted = read_tables(index)
        command = [*prefix, *deed("index", bench.library, index)]
        if number == 0:
            _allow(index, write=False)
            code, said = ended(command)
        else:
            code, said = _taken_midway(command, index, 0.1 * number)
        cell.expect(code in (0, 4), f"exit code {code}: {said}")
        cell.expect(code == 0 or "no permission to use" in said, said)
        _allow(index, write=True)
        cell.compare(index, wanted, bench.truth)
        _go_on(cell, bench, index)
    return cell


def _taken_midway(command: list[str], index: Path, after_s: float) -> tuple[int, str]:
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(after_s)
        _allow(index, write=False)
        said = process.stdout.read()
    return process.returncode, said.strip()


def _allow(index: Path, *, write: bool) -> None:
    for folder, _, names in os.walk(index):
        for name in names:
            Path(folder, name).chmod(0o644 if write else 0o444)
        Path(folder).chmod(0o755 if write else 0o555)


def _look(cell: Cell, index: Path, bench: Bench) -> None:
    """What is there now must be right; there may be nothing yet."""
    if not (index / "kinoscope.json").exists():
        return
    try:
        seen = read_tables(index)
    except IndexFault as error:
        cell.expect(False, f"cannot be opened: {error}")
        return
    cell.compare(index, seen, bench.truth)


def _go_on(cell: Cell, bench: Bench, index: Path) -> None:
    """The trouble is over: the same command must lead to the undisturbed index."""
    code, said = ended(deed("index", bench.library, index))
    cell.expect(code == 0, f"afterwards: {said}")
    cell.compare(index, bench.truth, bench.truth)
    cell.cases += 1


# --- file systems


def _tmpfs(place: Path, room: int) -> Iterator[Callable[[], None]]:
    """In memory, of that size; what is yielded makes it large."""
    place.mkdir()
    _run("mount", "-t", "tmpfs", "-o", f"size={room}", "tmpfs", str(place))
    try:
        yield lambda: _run("mount", "-o", "remount,size=64m", str(place))
    finally:
        _run("umount", str(place))


def _ext4(place: Path, room: int) -> Iterator[Callable[[], None]]:
    """In a file; ballast leaves so much room until what is yielded deletes it."""
    with mounted(new_ext4(place.with_suffix(".img")), place):
        ballast = place / "ballast"
        free = os.statvfs(place)
        with ballast.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(1, free.f_bavail * free.f_bsize - room))
        yield ballast.unlink


def new_ext4(image: Path, size: int = 2**25) -> Path:
    """A file that holds an empty ext4; raises `MayNotMount` without the program that makes it."""
    if not shutil.which("mkfs.ext4"):
        raise MayNotMount("there is no mkfs.ext4")
    with image.open("wb") as stream:
        stream.truncate(size)
    _run("mkfs.ext4", "-q", "-m", "0", str(image))
    return image


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """The file system in a file, at `place`."""
    place.mkdir(exist_ok=True)
    _run("mount", "-o", "loop", str(image), str(place))
    try:
        yield place
    finally:
        _run("umount", str(place))


def _run(*command: str) -> None:
    """Raises `MayNotMount` if a command is absent or refused."""
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise MayNotMount(f"there is no {command[0]}") from None
    if done.returncode:
        raise MayNotMount(f"{' '.join(command[:4])}: {done.stderr.strip()}")
