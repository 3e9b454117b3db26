"""Data sets of the world: what is on disk is what was rendered and told, also after a kill."""

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from kinoscope.errors import SetupError, UsageError
from kinoscope.training.world import WorldConfig, reverse, sample
from kinoscope.training.world.dataset import MakeConfig, make, read
from kinoscope.training.world.records import Record, describe_scene
from kinoscope.training.world.render import frame_times, render
from kinoscope.training.world.tasks import edits
from kinoscope.video import VideoReader

PLAIN = WorldConfig(sprites=(), duration_s=3.0)
SMALL = MakeConfig(split="test", count=3, first_seed=5, fps=4, size=(128, 64), world=PLAIN)
LOSS = 5.0  # mean grey levels that H.264 and its halved colours cost on pictures so small


def decoded(path: Path, fps: float = 4) -> np.ndarray:
    """All frames of a file [F, H, W, C], whose number is not taken from the scene."""
    with VideoReader(path, side_px=None) as reader:
        chunks = list(reader.sample((n + 0.5) / fps for n in range(1000)))
    return np.concatenate([frames.rgb_FHWC for frames in chunks])


def rendered(scene, config: MakeConfig) -> np.ndarray:
    return render(scene, frame_times(scene.duration_s, config.fps), config.size).rgb_FHWC


def distance(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(np.int16) - other.astype(np.int16)).mean())


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """The finished data set `SMALL`, by one worker; tests must not change it."""
    folder = tmp_path_factory.mktemp("world") / "small"
    make(folder, SMALL, workers=1)
    return folder


def test_each_file_holds_the_frames_of_its_scene(small) -> None:
    for record in read(small):
        scene = sample("test", record.seed, PLAIN)
        expected_FHWC, shown_FHWC = rendered(scene, SMALL), decoded(small / record.file)
        assert shown_FHWC.shape == (12, 64, 128, 3)
        assert distance(shown_FHWC, expected_FHWC) < LOSS
        strange = sample("test", record.seed + 100, PLAIN)
        assert distance(shown_FHWC, rendered(strange, SMALL)) > 3 * LOSS


def test_records_are_those_of_the_scenes_and_come_back_equal(small) -> None:
    scenes = [sample("test", seed, PLAIN) for seed in (5, 6, 7)]
    records = read(small)
    assert records == tuple(describe_scene(scene) for scene in scenes)
    assert [Record.from_json(record.to_json()) for record in records] == list(records)
    assert len((small / "records.jsonl").read_text().splitlines()) == 3


def test_the_manifest_says_what_was_made(small) -> None:
    content = json.loads((small / "world.json").read_text())
    assert content.pop("edition").startswith("world-")
    assert content == json.loads(json.dumps(asdict(SMALL)))


def test_partners_are_written_and_show_their_scenes(tmp_path) -> None:
    config = replace(SMALL, count=1, partners=True)
    (record,) = make(tmp_path / "new", config, workers=1)
    scene = sample("test", 5, PLAIN)
    targets = {edit.kind: edit.scene for edit in edits(scene)}
    assert len(record.edits) == len(targets) >= 3
    expected = {record.file: scene, record.reversed_file: reverse(scene)}
    expected |= {edit.file: targets[edit.kind] for edit in record.edits}
    written = {f"videos/{path.name}" for path in (tmp_path / "new" / "videos").iterdir()}
    assert written == set(expected)
    for file, shown in expected.items():
        assert distance(decoded(tmp_path / "new" / file), rendered(shown, config)) < LOSS


def test_two_workers_write_what_one_writes(small, tmp_path) -> None:
    made = make(tmp_path / "new", SMALL, workers=2)
    assert made == read(small)
    assert files(tmp_path / "new") == files(small)


def test_a_finished_data_set_is_left_as_it_is(small, tmp_path) -> None:
    make(tmp_path / "new", SMALL, workers=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "new" / "videos").iterdir()}
    assert make(tmp_path / "new", SMALL, workers=1) == read(small)
    assert {path: path.stat().st_mtime_ns for path in before} == before


PROGRAM = """
import os, signal, sys, threading, time
from pathlib import Path
from kinoscope.training.world import WorldConfig
from kinoscope.training.world.dataset import MakeConfig, make
world = WorldConfig(sprites=(), duration_s=3.0)
size = (128, 64)
config = MakeConfig(split="test", count=40, first_seed=5, fps=4, size=size, world=world)
folder = Path(sys.argv[1])

def watch():  # as if from outside, but never too late: the third video is not the last
    while len(list((folder / "videos").glob("*.mp4"))) < 3:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)

def strike(event, arguments):  # a lone process may be busy until all are there: before its fourth
    if event == "os.rename" and str(arguments[1]).endswith(".mp4"):
        if len(list((folder / "videos").glob("*.mp4"))) >= 3:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(strike)
sys.setswitchinterval(0.0005)
threading.Thread(target=watch, daemon=True).start()
make(folder, config, workers=int(sys.argv[2]))
threading.Event().wait(5)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on_to_the_files_of_an_undisturbed_one(tmp_path, workers) -> None:
    folder, config = tmp_path / "killed", replace(SMALL, count=40)
    command = [sys.executable, "-c", PROGRAM, str(folder), str(workers)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.communicate(timeout=60)  # ends when its workers, which share its stdout, have
    assert process.returncode == -9
    assert not (folder / "records.jsonl").exists()
    with pytest.raises(UsageError, match="no finished world"):
        read(folder)
    kept = {path: path.stat().st_mtime_ns for path in (folder / "videos").glob("*.mp4")}
    assert 3 <= len(kept) < 40
    (folder / "videos" / ".test-000028.mp4.part").write_bytes(b"half a video")
    make(folder, config, workers=1)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    make(tmp_path / "whole", config, workers=1)
    assert files(folder) == files(tmp_path / "whole")


def test_progress_is_reported(tmp_path) -> None:
    lines: list[str] = []
    make(tmp_path / "new", replace(SMALL, count=1), workers=1, report=lines.append)
    assert lines == ["1 of 1 videos"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"split": "dev"}, r"split 'dev': choose train, validation, test"),
        ({"count": 0}, r"^0 videos: choose 1 or more$"),
        ({"count": -3}, r"^-3 videos: choose 1 or more$"),
        ({"first_seed": -1}, r"seed -1: choose 0 or more"),
        ({"fps": 0.5}, r"0.5 frames a second: choose 1 to 60"),
        ({"size": (97, 64)}, r"frames of 97x64 px: choose even sides of 32 to 2048"),
        ({"size": (96, 16)}, r"frames of 96x16 px"),
    ],
)
def test_a_wrong_wish_is_one_sentence(change, sentence) -> None:
    with pytest.raises(UsageError, match=sentence):
        replace(SMALL, **change)


def test_a_folder_with_other_content_is_left_alone(small, tmp_path) -> None:
    with pytest.raises(UsageError, match="holds another world: choose a new folder"):
        make(small, replace(SMALL, count=2), workers=1)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="holds other files: choose a new or empty folder"):
        make(tmp_path, SMALL, workers=1)
    with pytest.raises(UsageError, match="holds other files"):
        make(tmp_path / "notes.txt", SMALL, workers=1)
    assert files(tmp_path) == {"notes.txt": b"mine"}
    with pytest.raises(UsageError, match="0 workers: choose 1 or more"):
        make(tmp_path / "new", SMALL, workers=0)


def test_a_folder_that_cannot_be_written_is_named(tmp_path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SetupError, match=r"cannot write to .*/file/new: .*; free or unlock it$"):
        make(tmp_path / "file" / "new", SMALL, workers=1)


def test_an_unreadable_manifest_is_not_taken_for_ours(tmp_path) -> None:
    (tmp_path / "world.json").write_text("{half")
    with pytest.raises(UsageError, match="holds another world"):
        make(tmp_path, SMALL, workers=1)


@pytest.mark.parametrize(
    "damage",
    [
        b"{half",
        b"[]",
        b'{"id": "test-000006"}',
        b"\xff\xfe",
        None,  # a question whose answer is no option
    ],
)
def test_a_damaged_record_is_named_by_its_line(small, tmp_path, damage) -> None:
    lines = (small / "records.jsonl").read_bytes().splitlines()
    content = json.loads(lines[1])
    content["questions"][0]["answer"] = "perhaps"
    lines[1] = json.dumps(content).encode() if damage is None else damage
    (tmp_path / "records.jsonl").write_bytes(b"\n".join(lines))
    with pytest.raises(UsageError, match=r"records.jsonl, line 2: not a record of the world"):
        read(tmp_path)


def test_a_missing_video_is_named(small, tmp_path) -> None:
    (tmp_path / "records.jsonl").write_bytes((small / "records.jsonl").read_bytes())
    with pytest.raises(UsageError, match=r"lacks videos/test-000005.mp4: run kinoscope world"):
        read(tmp_path)
