"""Checkpoints: whole or absent whatever happens, the same bits back, never of another config."""

import json
import math
import subprocess
import sys
import textwrap

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.training import checkpoint
from kinoscope.training.checkpoint import Checkpoints, DiskRefused, Saved, usable_weights
from kinoscope.training.state_files import read_state, write_state

pytestmark = pytest.mark.usefixtures("one_torch_thread")
CONFIG = {"loop": {"lr": 0.1, "betas": [0.9, 0.95]}, "task": {"data": "a"}}


def saved(step: int, best_step: int | None = None, average: bool = False) -> Saved:
    value = torch.full((3, 2), float(step))
    return Saved(
        step=step,
        weights={"layer.weight": value},
        average={"layer.weight": value / 2} if average else {},
        state={
            "optimiser": {0: {"step": torch.tensor(1.0), "betas": (0.9, 0.95)}},
            "best": -math.inf,
        },
        best_step=best_step,
    )


def checkpoints(folder, keep: int = 2, **task) -> Checkpoints:
    return Checkpoints(folder=folder, config=CONFIG | {"task": {"data": "a", **task}}, keep=keep)


plain = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
tensors = st.builds(
    lambda dtype, shape: (torch.randn(shape) * 9).to(dtype),
    st.sampled_from(
        [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.uint8, torch.int64]
    ),
    st.lists(st.integers(0, 3), max_size=3),
)
keys = st.text(max_size=5) | st.integers()
trees = st.recursive(
    plain | tensors,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)


def same(one, other) -> bool:
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
    if isinstance(one, dict):
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        fits = type(one) is type(other) and len(one) == len(other)
        return fits and all(map(same, one, other))
    return type(one) is type(other) and one == other


@given(tree=trees)
def test_any_state_comes_back_bit_for_bit(tmp_path_factory, tree):
    folder = tmp_path_factory.mktemp("state")
    write_state(folder, "state", tree)
    assert same(read_state(folder, "state"), tree)


def test_views_and_shared_tensors_are_stored_with_memory_of_their_own(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tree = {"view": base[1], "turned": base.T, "again": base, "expanded": base[0].expand(2, 4)}
    write_state(tmp_path, "state", tree)
    assert same(read_state(tmp_path, "state"), tree)


def test_the_last_ones_and_the_best_stay(tmp_path):
    kept = checkpoints(tmp_path)
    for step, best in ((10, 10), (20, 10), (30, 10), (40, 10), (50, 50), (60, 50)):
        kept.save(saved(step, best))
        assert kept.latest().step == step
        assert kept.latest().best_step == best
        assert best in kept.steps()
        assert set(kept.steps()) <= {best, step, step - 10}
    assert kept.steps() == [50, 60]
    assert [path.name for path in tmp_path.iterdir() if path.suffix] == []


def test_what_is_saved_comes_back(tmp_path):
    kept = checkpoints(tmp_path)
    before = saved(7, average=True)
    place = kept.save(before)
    after = kept.latest()
    for part in ("weights", "average", "state"):
        assert same(getattr(after, part), getattr(before, part))
    assert usable_weights(place)["layer.weight"].tolist() == [[3.5, 3.5]] * 3
    assert usable_weights(kept.save(saved(8)))["layer.weight"].tolist() == [[8.0, 8.0]] * 3
    assert repr(after) == "Saved(step=7, 1 weights, best=None)"


def test_no_file_is_a_pickle(tmp_path):
    place = checkpoints(tmp_path).save(saved(1, average=True))
    assert {path.suffix for path in place.iterdir()} == {".json", ".safetensors"}


def test_another_config_is_refused_and_both_are_printed(tmp_path):
    checkpoints(tmp_path).save(saved(1))
    with pytest.raises(UsageError, match="made with another config") as refused:
        checkpoints(tmp_path, rows=5).latest()
    text = str(refused.value)
    assert "  loop: {'lr': 0.1, 'betas': [0.9, 0.95]} | {'lr': 0.1, 'betas': [0.9, 0.95]}" in text
    assert "! task: {'data': 'a'} | {'data': 'a', 'rows': 5}" in text
    assert checkpoints(tmp_path).steps() == [1]


@pytest.mark.parametrize("name", ["weights.safetensors", "state.json", "manifest.json"])
@pytest.mark.parametrize("harm", ["cut", "flip", "remove"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, name, harm):
    kept = checkpoints(tmp_path)
    kept.save(saved(1))
    path = kept.save(saved(2)) / name
    whole = path.read_bytes()
    if harm == "remove":
        path.unlink()
    else:
        middle = len(whole) // 2
        rest = b"" if harm == "cut" else bytes([whole[middle] ^ 255]) + whole[middle + 1 :]
        path.write_bytes(whole[:middle] + rest)
    with pytest.warns(UserWarning, match=r"step-00000002 is damaged .*: going back to"):
        assert kept.latest().step == 1
    kept.drop_behind(1)
    assert kept.steps() == [1]


def test_where_all_are_damaged_nothing_is_overwritten(tmp_path):
    kept = checkpoints(tmp_path)
    (kept.save(saved(1)) / "manifest.json").write_text("{")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(UsageError, match="delete them"):
        kept.latest()


def test_a_later_format_is_refused_not_taken_for_damage(tmp_path):
    place = checkpoints(tmp_path).save(saved(1))
    manifest = json.loads((place / "manifest.json").read_text())
    (place / "manifest.json").write_text(json.dumps(manifest | {"format": 2}))
    with pytest.raises(UsageError, match="has format 2, not 1: update kinoscope"):
        checkpoints(tmp_path).latest()


def test_a_new_folder_has_no_checkpoint(tmp_path):
    assert checkpoints(tmp_path / "none").latest() is None
    checkpoints(tmp_path / "none").drop_behind(0)


@pytest.mark.parametrize("fails_at", range(8))
def test_a_refusing_disk_leaves_the_earlier_ones_whole(tmp_path, monkeypatch, fails_at):
    """Whichever flush fails, of any file or folder."""
    kept = checkpoints(tmp_path)
    kept.save(saved(1))
    calls = []

    def refuse(path):
        calls.append(path)
        if len(calls) == fails_at + 1:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "flush", refuse)
    failed = False
    try:
        with kept.disk():
            kept.save(saved(2))
    except DiskRefused as error:
        failed = True
        assert "(No space left on device): free space there, then go on; the" in str(error)
    assert failed == (fails_at < len(calls))
    assert kept.latest().step in (1, 2)
    assert not list(tmp_path.glob("*.partial"))


def test_a_file_too_large_for_the_disk_is_an_error_of_the_disk(tmp_path):
    """The system itself refuses: a limit on the size of files, as a full disk would."""
    program = """
        import resource, sys, torch
        from pathlib import Path
        from kinoscope.training.checkpoint import Checkpoints, DiskRefused, Saved
        kept = Checkpoints(folder=Path(sys.argv[1]), config={})
        def save(step, size):
            kept.save(Saved(step=step, weights={"w": torch.ones(size)}, average={}, state={},
                            best_step=None))
        save(1, 10)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            with kept.disk():
                save(2, 1_000_000)
        except DiskRefused as error:
            names = sorted(path.name for path in kept.folder.iterdir())
            print(error, kept.latest().step, names)
    """
    run = [sys.executable, "-c", textwrap.dedent(program), str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "File too large" in done.stdout
    assert done.stdout.strip().endswith("the checkpoint of step 1 is whole 1 ['step-00000001']")


# Copies of one process save step 3 over steps 1 and 2, each killed at another moment: before the
# n-th thing that it asks of the file system, or by the system in the middle of a file.
KILLED = """
    import os, resource, shutil, signal, sys
    from pathlib import Path
    import torch
    from kinoscope.training.checkpoint import Checkpoints, Saved
    from kinoscope.training.state_files import write_state

    def save(folder, step):
        weights = {"w": torch.full((5_000,), float(step))}
        kept = Checkpoints(folder=folder, config={}, keep=2)
        kept.save(Saved(step=step, weights=weights, average=weights, state=weights, best_step=2))

    WATCHED = {"open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.listdir", "os.scandir"}

    def kill_at(moment):
        left = [moment]
        def hear(event, _arguments):
            if event in WATCHED:
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
        sys.addaudithook(hear)

    def cut_at(size_bytes):
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))

    def attempt(folder, harm, moment):
        number = os.fork()
        if number == 0:
            save(folder, 1)
            save(folder, 2)
            harm(moment)
            save(folder, 3)
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])

    root = Path(sys.argv[1])
    write_state(root, "warm", {})
    for size_bytes in (1, 100, 10_000):
        assert attempt(root / f"cut-{size_bytes}", cut_at, size_bytes) == -signal.SIGXFSZ
    moment = 1
    while attempt(root / f"kill-{moment:03d}", kill_at, moment) == -9:
        moment += 1
"""


def test_a_kill_at_any_moment_leaves_a_whole_checkpoint(tmp_path):
    run = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    done = subprocess.run(run, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    folders = sorted(path for path in tmp_path.iterdir() if path.is_dir())
    assert len(folders) > 15  # each moment another
    latest = []
    for folder in folders:
        kept = Checkpoints(folder=folder, config={}, keep=2)
        found = kept.latest()  # a damaged one would warn, which is an error here
        assert (found.weights["w"] == found.step).all()
        assert 2 in kept.steps()  # the best
        assert all((kept.load(s).weights["w"] == s).all() for s in kept.steps())
        latest.append(found.step)
        kept.drop_behind(found.step)
        assert not list(folder.glob("*.partial"))
    assert set(latest) == {2, 3}
    assert latest[:3] == [2, 2, 2]  # cut off in the middle of a file
