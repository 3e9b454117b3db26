"""Freely licensed pictures of things: files of pinned Debian packages, kept as JPEG in the cache.

Photographs of animals, monuments, tools and places, and drawings of everyday things, from packages
whose licences Debian has checked (see NOTICE). Photographs of cut-out things also stand on the
places: those of the generated world's training nouns, never of nouns that it holds out.
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from kinoscope.converted import ConvertedFolder
from kinoscope.errors import MediaError
from kinoscope.training.sources.debian import DebianPackage, debian_members
from kinoscope.training.sources.qt_resources import qt_resources
from kinoscope.training.world import assets
from kinoscope.training.world.nouns import nouns_of
from kinoscope.types import UInt8
from kinoscope.video import read_picture

Report = Callable[[str], None]

_REMEDY = "run: python -m recipes.distil fetch"
_MAX_PIXELS = 480 * 480
"""As large as a picture is kept: frames have 260 x 260, and a camera may come near."""
_LEAST_BYTES, _LEAST_PX = 6000, 120
"""Smaller ones are icons."""
_PLACES_A_LOOK = 4
_JPEG_QUALITY = 90


@dataclass(frozen=True, kw_only=True)
class PictureSet:
    """Which files of a package are pictures to take.

    Attributes:
        files: pattern of whole paths in the package.
        inside: where those are Qt resource files, the pattern of paths in them.
        places: whether they show places, on which a thing may stand.
    """

    package: DebianPackage
    files: str
    inside: str | None = None
    places: bool = False


SETS = (
    PictureSet(
        package=DebianPackage(
            name="gcompris-qt-data",
            version="3.1-2",
            sha256="e9cf06ab2105529068df73085784e835d2ff03f870d2a8091f09125d40abac9f",
        ),
        files=r"\./usr/share/gcompris-qt/rcc/(erase|explore_(farm_animals|monuments|world_animals|"
        r"world_music)|details|categorization)\.rcc",
        inside=r".*\.(webp|jpg|png)",
    ),
    PictureSet(
        package=DebianPackage(
            name="scratch",
            version="1.4.0.6~dfsg1-6.1",
            sha256="36c582eb93110f64f06c4e685c41e933ccba2fa68db12f79b10bfe840b21fc10",
        ),
        files=r"\./usr/share/scratch/Media/Backgrounds/\w+/.*\.(jpg|png|gif)",
        places=True,
    ),
    PictureSet(
        package=DebianPackage(
            name="pysiogame",
            version="4.20.01-1",
            sha256="6b22766dfd8ef3a046c2665fe2598ac8a1ecee3d331bda38accf53de65bc59bf",
        ),
        files=r"\./usr/share/games/pysiogame/res/images/art4apps/\w+/.*\.jpg",
    ),
    PictureSet(
        package=DebianPackage(
            name="mate-backgrounds",
            version="1.26.0-1",
            sha256="7bf4c2209f34b4f61ba6d24c8b58c28b361e82e4b943aae6d42c030169af9e04",
        ),
        files=r"\./usr/share/backgrounds/mate/nature/.*\.(jpg|png)",
        places=True,
    ),
    PictureSet(
        package=DebianPackage(
            name="ukui-wallpapers",
            version="20.04.3-1.1",
            sha256="6d49be70152e6d603163458e177e501deb0be8f2916389ccbfcf59b0d7fc0262",
        ),
        files=r"\./usr/share/backgrounds/.*\.(jpg|png)",
    ),
    PictureSet(
        package=DebianPackage(
            name="lomiri-wallpapers-16.04",
            version="20.04.0-2",
            sha256="a99ff6a3bfe451e4cc0682ecb3cc82e71740626d59e4845ae34a0a0e45421eab",
        ),
        files=r"\./usr/share/backgrounds/.*\.jpg",
    ),
    PictureSet(
        package=DebianPackage(
            name="lomiri-wallpapers-20.04",
            version="20.04.0-2",
            sha256="d44e89b8473aafe64a5b678f014862dc31335aaaf18665c544d985d854f1a709",
        ),
        files=r"\./usr/share/backgrounds/.*\.jpg",
    ),
)


def fetch(report: Report | None = None) -> Path:
    """Makes the pictures complete and returns their folder; instant when they are.

    160 MB by apt-get and what `world.assets.fetch` downloads; some 50 MB stay. Raises `SetupError`
    where a package cannot be had or is not the pinned one, or the disk refuses.
    """
    return _converted().setup(report)


def require() -> Path:
    """The folder that `fetch` filled; `SetupError` where it has not run."""
    return _converted().require()


def listed(folder: Path) -> list[tuple[str, str]]:
    """Name and SHA-256 of each picture in the folder, file `00000.jpg` and on."""
    pairs = json.loads((folder / "pictures.json").read_text(encoding="utf-8"))
    return [(str(name), str(digest)) for name, digest in pairs]


def file_of(folder: Path, number: int) -> Path:
    """Where a picture is kept."""
    return folder / f"{number:05d}.jpg"


def _converted() -> ConvertedFolder:
    told = repr((SETS, _MAX_PIXELS, _PLACES_A_LOOK, _JPEG_QUALITY))
    return ConvertedFolder(
        name="pictures-1",
        recipe={"sets": hashlib.sha256(told.encode()).hexdigest()},
        needs=(),
        convert=_fill,
        remedy=_REMEDY,
    )


def _fill(folder: Path, tell: Report) -> None:
    assets.fetch(tell)
    kept: list[tuple[str, str]] = []
    places: list[UInt8] = []

    def keep(name: str, rgb_HWC: UInt8) -> None:
        data = _jpeg(rgb_HWC)
        file_of(folder, len(kept)).write_bytes(data)
        kept.append((name, hashlib.sha256(data).hexdigest()))

    for chosen in SETS:
        tell(f"fetching {chosen.package}")
        for name, data in sorted(_contents(chosen)):
            rgb_HWC = picture_in(data)
            if rgb_HWC is not None:
                keep(name, rgb_HWC)
                if chosen.places:
                    places.append(rgb_HWC)
    tell("putting things in places")
    for name, rgb_HWC in composed(places):
        keep(name, rgb_HWC)
    (folder / "pictures.json").write_text(json.dumps(kept), encoding="utf-8")


def _contents(chosen: PictureSet) -> Iterator[tuple[str, bytes]]:
    files = re.compile(chosen.files)
    for path, data in debian_members(chosen.package, lambda path: bool(files.fullmatch(path))):
        prefix = f"{chosen.package.name}/{path.rpartition('/')[2]}"
        if chosen.inside is None:
            yield prefix, data
            continue
        for inner, content in qt_resources(data).items():
            if re.fullmatch(chosen.inside, inner):
                yield f"{prefix}/{inner}", content


def picture_in(data: bytes) -> UInt8 | None:
    """RGB [H, W, 3] of at most 480 x 480 pixels; None for an icon and for what is no picture."""
    if len(data) < _LEAST_BYTES:
        return None
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        path = Path(folder) / "picture"
        path.write_bytes(data)
        try:
            rgb_HWC = read_picture(path, side_px=None, max_pixels=_MAX_PIXELS).rgb_FHWC[0]
        except MediaError:
            return None
    return rgb_HWC if min(rgb_HWC.shape[:2]) >= _LEAST_PX else None


def composed(places: list[UInt8]) -> Iterator[tuple[str, UInt8]]:
    """Photographed looks of the world's training nouns, large, each on some of the places."""
    from PIL import Image

    if not places:
        return
    sprites = assets.load()
    for noun in nouns_of("train", ("photographed",)):
        for look in noun.looks:
            seed = hashlib.sha256(look.encode()).digest()
            random = np.random.default_rng(list(seed))
            for take in range(_PLACES_A_LOOK):
                scene = Image.fromarray(places[int(random.integers(len(places)))])
                side = round(min(scene.size) * random.uniform(0.6, 1.0))
                thing = sprites.picture(look).resize((side, side), Image.Resampling.BICUBIC)
                left, top = (int(random.integers(0, most - side + 1)) for most in scene.size)
                scene.paste(thing, (left, top), thing)
                yield f"{look} in place {take}", np.asarray(scene)


def _jpeg(rgb_HWC: UInt8) -> bytes:
    from PIL import Image

    target = BytesIO()
    Image.fromarray(rgb_HWC).save(target, "JPEG", quality=_JPEG_QUALITY)
    return target.getvalue()
