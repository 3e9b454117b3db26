"""Sprite pictures: two pinned packages, fetched once by the user's own clients into the cache."""

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from filelock import FileLock

from kinoscope.errors import SetupError
from kinoscope.packages import cache_folder, debian_data, sha256_of
from kinoscope.training.world.nouns import all_nouns
from kinoscope.types import UInt8

if TYPE_CHECKING:
    from PIL.Image import Image

EMOJI = "@lobehub/fluent-emoji-3d@1.1.0"
EMOJI_SHA256 = "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58"
STAMPS = "tuxpaint-stamps-default=2022.06.04-1"
STAMPS_SHA256 = "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34"

SIDE_PX = 192
_FOLDER = "world-sprites-1"
_MANIFEST = "manifest.json"
_EDITION = {"emoji": EMOJI_SHA256, "stamps": STAMPS_SHA256, "side_px": SIDE_PX}
_REMEDY = "run: kinoscope world fetch"

Report = Callable[[str], None]


def fetch(report: Report | None = None) -> Path:
    """Makes the sprites complete and returns their folder; instant when they are.

    15 MB by npm and 161 MB by apt-get; 103 MB stay. Raises `SetupError` when a client is
    missing or fails, an archive is not the pinned one, or the disk refuses.
    """
    folder = cache_folder() / _FOLDER
    if is_complete(folder):
        return folder
    tell = report or (lambda _line: None)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not is_complete(folder):
                _make(folder, tell)
    except OSError as error:
        raise SetupError(f"cannot write sprites to {folder}: {error}; free or unlock it") from error
    load.cache_clear()
    return folder


def is_complete(folder: Path | None = None) -> bool:
    """Whether the sprites of this edition are in the cache."""
    place = folder or cache_folder() / _FOLDER
    try:
        content = json.loads((place / _MANIFEST).read_text(encoding="utf-8"))
        size_bytes = (place / "sprites.npy").stat().st_size
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and (content.get("edition"), content.get("bytes")) == (
        _EDITION,
        size_bytes,
    )


class SpriteSet:
    """The pictures in the cache, mapped into memory: RGBA [N, 192, 192, 4], trimmed, centred."""

    def __init__(self, folder: Path) -> None:
        content = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        self._rows: dict[str, int] = {look: row for row, look in enumerate(content["looks"])}
        self._rgba_NHWC: UInt8 = np.load(folder / "sprites.npy", mmap_mode="r", allow_pickle=False)

    def picture(self, look: str) -> "Image":
        """One sprite as an RGBA picture of 192 x 192."""
        from PIL import Image

        return Image.fromarray(np.array(self._rgba_NHWC[self._rows[look]]), "RGBA")


@lru_cache(maxsize=1)
def load() -> SpriteSet:
    """The sprites that `fetch` left; `SetupError` where it has not run."""
    folder = cache_folder() / _FOLDER
    if not is_complete(folder):
        raise SetupError(f"no sprites in {folder}; {_REMEDY}, or draw shapes alone: sprites=()")
    return SpriteSet(folder)


def _make(folder: Path, tell: Report) -> None:
    looks = [look for noun in all_nouns().values() for look in noun.looks]
    with tempfile.TemporaryDirectory(prefix="kinoscope-", dir=folder.parent) as scratch:
        work = Path(scratch)
        tell("fetching emoji, 15 MB")
        emoji = _emoji(work)
        tell("fetching stamps, 161 MB")
        stamps = _stamps(work)
        pictures = {
            **_members(emoji, "package/assets/", "drawn", ".webp", looks),
            **_members(stamps, "./usr/share/tuxpaint/stamps/", "photographed", ".png", looks),
        }
        missing = [look for look in looks if look not in pictures]
        if missing:
            raise SetupError(f"the packages hold no picture {missing[0]}: report this")
        final = work / "sprites"
        final.mkdir()
        rgba_NHWC = np.stack([_trimmed(pictures[look]) for look in looks])
        np.save(final / "sprites.npy", rgba_NHWC)
        size_bytes = (final / "sprites.npy").stat().st_size
        content = {"edition": _EDITION, "looks": looks, "bytes": size_bytes}
        (final / _MANIFEST).write_text(json.dumps(content), encoding="utf-8")
        _replace(final, folder)


def _replace(made: Path, folder: Path) -> None:
    if folder.exists():
        folder.rename(made.parent / "old")
    made.rename(folder)


def _emoji(work: Path) -> Path:
    _run(["npm", "pack", "--silent", EMOJI], work, "npm")
    return _verified(work, "*.tgz", EMOJI_SHA256, EMOJI)


def _stamps(work: Path) -> Path:
    """The data archive inside the Debian package."""
    _run(["apt-get", "-o", "APT::Sandbox::User=root", "download", STAMPS], work, "apt-get")
    package = _verified(work, "tuxpaint-stamps-default_*.deb", STAMPS_SHA256, STAMPS)
    return debian_data(package, work / "data.tar.xz", f"{_REMEDY} again")


def _run(command: list[str], folder: Path, client: str) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise SetupError(
            f"sprites need the command {client}: install it, or draw shapes alone (sprites=())"
        ) from None
    if done.returncode:
        reason = ((done.stderr or done.stdout).strip().splitlines() or ["no message"])[-1]
        raise SetupError(f"cannot download {command[-1]}: {reason}; connect to a registry, retry")


def _verified(folder: Path, pattern: str, sha256: str, name: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise SetupError(f"{name}: the client left {len(found)} files where one was expected")
    digest = sha256_of(found[0])
    if digest != sha256:
        raise SetupError(f"{name}: SHA-256 {digest} is not the pinned {sha256}")
    return found[0]


def _members(
    archive: Path, prefix: str, kind: str, ending: str, looks: list[str]
) -> dict[str, bytes]:
    """The pictures of one set in a tar archive, read in one pass."""
    wanted = {
        f"{prefix}{look.split('/', 1)[1]}{ending}": look
        for look in looks
        if look.startswith(kind + "/")
    }
    found = {}
    with tarfile.open(archive) as tarred:
        for info in tarred:
            stream = tarred.extractfile(info) if info.name in wanted else None
            if stream is not None:
                found[wanted[info.name]] = stream.read()
    return found


def _trimmed(picture: bytes) -> UInt8:
    """The picture without its empty border, scaled so that its longer side fills the square."""
    from PIL import Image

    with Image.open(io.BytesIO(picture)) as opened:
        image = opened.convert("RGBA")
    alpha_HW = np.asarray(image)[..., 3]
    rows, columns = np.flatnonzero((alpha_HW > 24).any(1)), np.flatnonzero((alpha_HW > 24).any(0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    image = image.crop(box)
    ratio = SIDE_PX / max(image.size)
    size = tuple(max(1, round(side * ratio)) for side in image.size)
    image = image.resize(size, Image.Resampling.LANCZOS)  # type: ignore[arg-type]
    square = Image.new("RGBA", (SIDE_PX, SIDE_PX))
    square.paste(image, ((SIDE_PX - image.width) // 2, (SIDE_PX - image.height) // 2))
    return np.asarray(square)
