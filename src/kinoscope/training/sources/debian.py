"""Files out of pinned Debian packages, fetched by the user's own apt-get."""

import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from kinoscope.errors import SetupError
from kinoscope.packages import debian_data, sha256_of

_MOST_MEMBER_BYTES = 64 * 2**20
_REMEDY = "use a machine with Debian's apt-get and a registry, or leave these data out"


@dataclass(frozen=True, kw_only=True)
class DebianPackage:
    """A package of Debian; `sha256` is that of the `.deb` file."""

    name: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.name}={self.version}"


def debian_members(
    package: DebianPackage, wanted: Callable[[str], bool]
) -> Iterator[tuple[str, bytes]]:
    """Path and content of the wanted files of a package, in the order of the archive.

    Nothing of it is installed or run, no file is written under a name of the archive's.
    Raises `SetupError` if apt-get is missing or fails, if the package is not the pinned one, or a
    file is larger than 64 MiB.
    """
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        downloaded = _downloaded(package, Path(folder))
        archive = debian_data(downloaded, Path(folder) / "data.tar", _REMEDY)
        with tarfile.open(archive) as tarred:
            for info in tarred:
                if not (info.isfile() and wanted(info.name)):
                    continue
                if info.size > _MOST_MEMBER_BYTES:
                    raise SetupError(f"{package}: {info.name} has {info.size} bytes; {_REMEDY}")
                stream = tarred.extractfile(info)
                assert stream is not None, info.name
                yield info.name, stream.read()


def _downloaded(package: DebianPackage, folder: Path) -> Path:
    command = ["apt-get", "-o", "APT::Sandbox::User=root", "download", str(package)]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SetupError(f"{package} needs the command apt-get: {_REMEDY}") from None
    if done.returncode:
        reason = ((done.stderr or done.stdout).strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"cannot download {package}: {reason}; {_REMEDY}")
    found = sorted(folder.glob("*.deb"))
    if len(found) != 1:
        raise SetupError(f"{package}: apt-get left {len(found)} files, not one; {_REMEDY}")
    digest = sha256_of(found[0])
    if digest != package.sha256:
        raise SetupError(f"{package}: SHA-256 {digest} is not the pinned one; {_REMEDY}")
    return found[0]
