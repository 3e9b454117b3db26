"""A disk that refuses in the middle of a video: one sentence, and the next run goes on."""

import subprocess
import sys
from pathlib import Path

import pytest

from kinoscope.training.world import WorldConfig
from kinoscope.training.world.dataset import MakeConfig, make, read

PROGRAM = """
import resource, sys
from pathlib import Path
from kinoscope.errors import SetupError
from kinoscope.training.world import WorldConfig
from kinoscope.training.world.dataset import MakeConfig, make

resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # a file grows no further
world = WorldConfig(sprites=())
config = MakeConfig(split="train", count=3, world=world)
try:
    make(Path(sys.argv[1]), config, workers=int(sys.argv[2]))
except SetupError as error:
    print(error)
"""


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_disk_that_refuses_is_one_sentence_and_the_next_run_ends_whole(
    workers: str, tmp_path: Path
) -> None:
    folder = tmp_path / "world"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), workers], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = done.stdout.strip()
    assert said.startswith(f"cannot write to {folder}: ") and said.endswith("free or unlock it")
    assert "\n" not in said
    assert not list((folder / "videos").glob("*.mp4"))
    world = WorldConfig(sprites=())
    make(folder, MakeConfig(split="train", count=3, world=world), workers=1)
    assert len(read(folder)) == 3
