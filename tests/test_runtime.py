"""No command of ours may use the network: the model's runtime must not report home."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kinoscope.runtime import usable_cores

PROGRAM = """
import os, time
from kinoscope import Embedder
Embedder.load().encode_query("a dog")
time.sleep(1.0)
names = [os.readlink(f"/proc/self/fd/{n}") for n in os.listdir("/proc/self/fd") if
         os.path.exists(f"/proc/self/fd/{n}")]
print(*[name for name in names if name.startswith("socket:") or "onnxruntime.db" in name])
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="open files are listed by Linux")
def test_a_query_opens_no_socket_and_leaves_nothing_in_the_home_folder(tmp_path) -> None:
    from kinoscope.packages import cache_folder

    environment = {key: value for key, value in os.environ.items() if "TELEMETRY" not in key}
    environment |= {"HOME": str(tmp_path), "KINOSCOPE_CACHE": str(cache_folder())}
    environment |= {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_there_is_a_core_to_run_on() -> None:
    assert 1 <= usable_cores() <= (os.cpu_count() or 1)
