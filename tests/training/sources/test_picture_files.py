"""Packages of Debian and Qt resources: what is taken from them, and what is refused."""

import hashlib
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kinoscope.errors import SetupError
from kinoscope.training.sources.debian import DebianPackage, debian_members
from kinoscope.training.sources.picture_files import SETS, picture_in
from kinoscope.training.sources.qt_resources import qt_resources


def png(width: int, height: int, seed: int = 0) -> bytes:
    """Noise, so that it has some bytes."""
    random = np.random.default_rng(seed)
    target = io.BytesIO()
    rgb_HWC = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(rgb_HWC).save(target, "PNG")
    return target.getvalue()


def deb(files: dict[str, bytes]) -> bytes:
    """A Debian package: an `ar` file, its members padded to even lengths."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:xz") as tarred:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tarred.addfile(info, io.BytesIO(content))
        link = tarfile.TarInfo("./usr/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tarred.addfile(link)
    made = b"!<arch>\n"
    members = (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", None))
    for name, content in members:
        data = packed.getvalue() if content is None else content
        made += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(data):<10}`\n".encode()
        made += data + b"\n" * (len(data) % 2)
    return made


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """`registry(content)` lets apt-get give these bytes; the package that is pinned to them."""
    commands = tmp_path / "bin"
    commands.mkdir()
    monkeypatch.setenv("PATH", str(commands))

    def serve(content: bytes, code: int = 0) -> DebianPackage:
        (tmp_path / "served.deb").write_bytes(content)
        command = commands / "apt-get"
        copy = f'/bin/cp {tmp_path / "served.deb"} "things_1%3a2_all.deb"'
        command.write_text(f"#!/bin/sh\necho 'E: no such thing' >&2\n{copy}\nexit {code}\n")
        command.chmod(0o755)
        return DebianPackage(
            name="things", version="1:2", sha256=hashlib.sha256(content).hexdigest()
        )

    return serve


FILES = {"./usr/a.png": b"first", "./usr/b.txt": b"second", "./usr/c.png": b"third"}


def test_wanted_files_come_in_the_order_of_the_archive(registry) -> None:
    package = registry(deb(FILES))
    found = list(debian_members(package, lambda path: path.endswith(".png")))
    assert found == [("./usr/a.png", b"first"), ("./usr/c.png", b"third")], "and no link"


def test_another_package_than_the_pinned_one_is_refused(registry) -> None:
    package = registry(deb(FILES))
    registry(deb({**FILES, "./usr/a.png": b"other"}))
    with pytest.raises(SetupError, match=r"things=1:2: SHA-256 \w{64} is not the pinned one"):
        list(debian_members(package, lambda _path: True))


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"PK\x03\x04", "is not a Debian package"), (deb(FILES)[:70], "holds no data")],
)
def test_what_is_no_package_is_refused(registry, content, words) -> None:
    with pytest.raises(SetupError, match=words):
        list(debian_members(registry(content), lambda _path: True))


def test_a_client_that_fails_or_is_missing_is_told_with_its_reason(
    registry, monkeypatch, tmp_path
) -> None:
    package = registry(deb(FILES), code=100)
    with pytest.raises(SetupError, match="cannot download things=1:2: E: no such thing"):
        list(debian_members(package, lambda _path: True))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SetupError, match="things=1:2 needs the command apt-get"):
        list(debian_members(package, lambda _path: True))


def rcc(files: dict[str, bytes], *, version: int = 3, compressed: str = "") -> bytes:
    """A Qt resource file with one folder `a` in the root, and the files in it."""
    names, places = b"", {}
    for name in ("a", *files):
        places[name] = len(names)
        names += struct.pack(">HI", len(name), 0) + name.encode("utf-16-be")
    contents, offsets = b"", {}
    for name, content in files.items():
        offsets[name] = len(contents)
        contents += struct.pack(">I", len(content)) + content
    tail = b"" if version == 1 else bytes(8)
    tree = struct.pack(">IHII", 0, 2, 1, 1) + tail
    tree += struct.pack(">IHII", places["a"], 2, len(files), 2) + tail
    for name in files:
        flags = 1 if name == compressed else 0
        tree += struct.pack(">IHHHI", places[name], flags, 0, 1, offsets[name]) + tail
    head = struct.pack(
        ">4s4I", b"qres", version, 20 + len(contents) + len(names), 20, 20 + len(contents)
    )
    return head + contents + names + tree


@pytest.mark.parametrize("version", [1, 2, 3])
def test_resources_are_found_by_path(version) -> None:
    files = {"fox.webp": b"a fox", "an owl.png": b"", "zebra.txt": b"z"}
    found = qt_resources(rcc(files, version=version, compressed="zebra.txt"))
    assert found == {"a/fox.webp": b"a fox", "a/an owl.png": b""}


def test_resources_that_lead_in_a_circle_or_out_of_the_file_are_refused() -> None:
    good = rcc({"fox.webp": b"a fox"})
    tree = int.from_bytes(good[8:12])
    circle = bytearray(good)
    circle[tree + 22 + 6 : tree + 22 + 14] = struct.pack(">II", 1, 0)  # the folder holds the root
    long = bytearray(good)
    long[20:24] = struct.pack(">I", 10**6)
    for data, words in (
        (bytes(circle), "leads in a circle"),
        (bytes(long), "is cut off"),
        (good[:-30], "is damaged"),
        (b"qres", "is damaged"),
        (b"RIFF" + good[4:], "is no Qt resource file"),
    ):
        with pytest.raises(SetupError, match=words):
            qt_resources(data)


def test_pictures_are_bounded_and_icons_and_other_files_left_out() -> None:
    large = picture_in(png(900, 600))
    assert large is not None and large.shape[0] * large.shape[1] <= 480 * 480
    assert abs(large.shape[1] / large.shape[0] - 1.5) < 0.01
    assert picture_in(png(119, 500)) is None and picture_in(png(20, 20)) is None
    assert picture_in(b"<svg>" + b" " * 9000) is None
    assert picture_in(png(300, 300)[:-5000]) is None


def test_every_set_is_pinned_and_none_is_of_the_evaluation() -> None:
    packages = [chosen.package for chosen in SETS]
    assert len({package.name for package in packages}) == len(packages)
    assert all(len(package.sha256) == 64 and package.version for package in packages)
    assert not any("comfyui" in package.name or "moviepy" in package.name for package in packages)
    assert any(chosen.places for chosen in SETS)
    notice = (Path(__file__).parents[3] / "NOTICE").read_text()
    missing = [str(p) for p in packages if f"{p.name} {p.version}" not in notice]
    assert not missing, f"NOTICE does not name {missing}"
