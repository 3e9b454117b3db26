"""What is one server's own goes with it, also where it was killed; what another has stays."""

import subprocess
import sys
from pathlib import Path

import pytest

from kinoscope.errors import UsageError
from kinoscope.server.own import OwnFolder

_HOLDER = """
import sys, time
from pathlib import Path
from kinoscope.server.own import OwnFolder
own = OwnFolder(Path(sys.argv[1]))
(own.path / "upload").write_bytes(b"x" * 1000)
print(own.path, flush=True)
time.sleep(60)
"""


def test_a_killed_servers_folder_goes_with_the_next_start_and_a_living_ones_stays(tmp_path) -> None:
    command = [sys.executable, "-c", _HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            theirs = Path(process.stdout.readline().strip())
            assert (theirs / "upload").exists() and theirs.stat().st_mode & 0o077 == 0
            OwnFolder(tmp_path).close()
            assert (theirs / "upload").exists(), "its server is alive"
        finally:
            process.kill()
    assert (theirs / "upload").exists()
    ours = OwnFolder(tmp_path)
    assert not theirs.exists()
    (ours.path / "draft").write_bytes(b"x")
    ours.close()
    assert [path.name for path in tmp_path.iterdir()] == [".servers.lock"]


def test_two_of_one_process_do_not_remove_each_other(tmp_path) -> None:
    first, second = OwnFolder(tmp_path), OwnFolder(tmp_path)
    assert first.path != second.path and first.path.is_dir() and second.path.is_dir()
    first.close()
    assert second.path.is_dir()
    second.close()


def test_a_cache_that_cannot_be_is_named(tmp_path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UsageError, match="choose another folder"):
        OwnFolder(tmp_path / "file" / "cache")
