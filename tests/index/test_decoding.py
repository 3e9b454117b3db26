"""The decoding pool: whatever one file does to its process, the others come through."""

import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from kinoscope.errors import SetupError, UsageError
from kinoscope.index.decoding import Chunk, DecodePool, Failed, Finished, Opened, WorkerLimits
from kinoscope.index.scan import FoundFile
from kinoscope.index.worker import DecodeRequest, decode_request, encode_request
from kinoscope.samples.writing import write_video
from kinoscope.sampling import SamplingConfig, Window
from kinoscope.types import Span
from kinoscope.video import DecodeLimits
from tests.index import misbehaving
from tests.index.building import is_tracker

CALM = WorkerLimits()
HASTY = WorkerLimits(stall_s=1.0, base_s=1.5, factor=0.0, memory_bytes=2**30)


def request(path, content=b"not empty"):
    path = Path(path)
    if not path.exists():
        path.write_bytes(content)
    status = path.stat()
    found = FoundFile(path=str(path), size_bytes=status.st_size, mtime_ns=status.st_mtime_ns)
    return DecodeRequest(file=found, sampling=SamplingConfig(side_px=32))


def run(requests, workers=2, limits=CALM, decode=misbehaving.made_by_name):
    """Events by file name, in the order in which they came."""
    events = {Path(r.file.path).name: [] for r in requests}
    with DecodePool(workers, limits, decode=decode) as pool:
        for event in pool.run(deque(requests)):
            events[Path(event.request.file.path).name].append(event)
    return events


def alive(pids):
    return [p for p in pids if psutil.pid_exists(p) and psutil.Process(p).status() != "zombie"]


def children():
    """All but the one that Python keeps to tidy up after itself."""
    found = psutil.Process().children(recursive=True)
    return [child.pid for child in found if not is_tracker(child)]


def soon(condition, seconds=10.0):
    """Whether `condition()` becomes true in time."""
    end_s = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.02)
    return True


@pytest.mark.parametrize("name", ["plain.mp4", "-rf 映画\n\udcff.mp4"])
def test_a_request_survives_the_way_to_the_worker(name):
    sent = DecodeRequest(
        file=FoundFile(path=f"/v/{name}", size_bytes=2**40, mtime_ns=2**62 + 1),
        sampling=SamplingConfig(fps=0.1, windows=(Window(length_s=0.3, stride_s=0.1),)),
        limits=DecodeLimits(max_side_px=100),
        threads=3,
    )
    line = encode_request(sent)
    assert line.count(b"\n") == 1
    assert decode_request(line) == sent


def test_real_frames_arrive_as_the_reader_gives_them(tmp_path):
    pictures = [np.full((48, 64, 3), 20 * i, np.uint8) for i in range(10)]
    write_video(tmp_path / "film.mp4", pictures, fps=1)
    asked = request(tmp_path / "film.mp4")
    events = run([asked], decode=misbehaving.decode_file)["film.mp4"]
    here = list(misbehaving.decode_file(asked))
    assert isinstance(events[0], Opened) and events[0].info == here[0]
    assert isinstance(events[-1], Finished) and events[-1].report == here[-1]
    assert 0 < events[-1].cpu_s < 5
    assert [type(event) for event in events[1:-1]] == [Chunk] * (len(here) - 2)
    for event, frames in zip(events[1:-1], here[1:-1], strict=True):
        assert (event.frames.rgb_FHWC == frames.rgb_FHWC).all()
        assert (event.frames.times_F == frames.times_F).all()
    assert sum(len(event.frames) for event in events[1:-1]) == 10


def test_of_a_span_only_the_frames_around_it_are_sent(tmp_path):
    path = tmp_path / "film.mp4"
    write_video(path, (np.full((32, 32, 3), 3 * n, np.uint8) for n in range(80)), fps=8)
    asked = replace(request(path), span=Span(4.0, 6.0))
    assert decode_request(encode_request(asked)) == asked
    with DecodePool(1) as pool:
        events = list(pool.run(deque([asked])))
    times = [time_s for e in events if isinstance(e, Chunk) for time_s in e.frames.times_F]
    assert times == pytest.approx([3.5, 4.5, 5.5, 6.5])


def test_few_processes_serve_many_files_and_end_with_the_pool(tmp_path):
    with DecodePool(2, decode=misbehaving.made) as pool:
        events = list(pool.run(deque(request(tmp_path / f"{i}.mp4") for i in range(20))))
        started = children()
        list(pool.run(deque([request(tmp_path / "more.mp4")])))
        assert children() == started
    assert sum(isinstance(event, Finished) for event in events) == 20
    assert len(started) == 2
    assert not alive(started)


def test_no_more_processes_start_than_there_are_files(tmp_path):
    with DecodePool(8, decode=misbehaving.made) as pool:
        list(pool.run(deque([request(tmp_path / "one.mp4")])))
        assert len(children()) == 1
        assert list(pool.run(deque())) == []


def test_requests_may_be_added_meanwhile(tmp_path):
    waiting = deque([request(tmp_path / "a.mp4")])
    seen = []
    with DecodePool(1, decode=misbehaving.made) as pool:
        for event in pool.run(waiting):
            if isinstance(event, Finished):
                seen.append(Path(event.request.file.path).name)
                waiting.extend([request(tmp_path / "b.mp4")] if len(seen) == 1 else [])
    assert seen == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize(
    ("kind", "fault", "words"),
    [
        ("segfault", "crashed", r"segfault\.mp4 ended its decoding process \(signal SIGSEGV\)"),
        ("raises", "crashed", r"\(exit code 1: RuntimeError: a mistake of ours\)"),
        ("garbage", "crashed", "ended its decoding process"),
        ("ends_at_once", "crashed", "ended its decoding process"),
        ("opens_twice", "crashed", "ended its decoding process"),
        ("shows_unopened", "crashed", "ended its decoding process"),
        ("picture", "crashed", "ended its decoding process"),
        ("goes_back", "crashed", "ended its decoding process"),
        ("changes_size", "crashed", "ended its decoding process"),
        ("bomb", "too_large", "needs more memory to decode than a worker may use"),
        ("vanish", "missing", r"vanish\.mp4 vanished while it was read"),
        ("change", "changed", "changed while it was read"),
        ("torn", "changed", "changed while it was read"),
        ("hang", "timeout", r"hang\.mp4 gave nothing for \d+ s: gave up"),
        ("trickle", "timeout", r"took over 2 s to decode: gave up"),
    ],
)
def test_a_file_that_goes_wrong_costs_itself_only(tmp_path, kind, fault, words):
    requests = [request(tmp_path / f"{name}.mp4") for name in ("a", kind, "b", "c")]
    events = run(requests, workers=1, limits=HASTY)
    *_, last = events.pop(f"{kind}.mp4")
    assert isinstance(last, Failed)
    assert last.fault == fault
    assert re.search(words, last.message), last.message
    for others in events.values():
        assert [type(event) for event in others] == [Opened, Chunk, Chunk, Chunk, Finished]


def test_where_pictures_are_asked_for_one_frame_is_enough_and_more_are_none(tmp_path):
    names = ("picture", "shows_unopened", "shows_much_unopened")
    requests = deque(request(tmp_path / f"{name}.mp4") for name in names)
    with DecodePool(2, decode=misbehaving.made_by_name, pictures=True) as pool:
        events = [(Path(e.request.file.path).stem, type(e)) for e in pool.run(requests)]
    told = {of: [kind for name, kind in events if name == of] for of in names}
    assert told["picture"] == [Chunk, Finished]
    assert told["shows_unopened"] == [Chunk, Failed], "the second frame makes it no picture"
    assert told["shows_much_unopened"] == [Failed]


def test_a_process_that_speaks_for_another_film_is_ended(tmp_path):
    requests = [request(tmp_path / f"{name}.mp4") for name in ("speaks_for_others", "b", "c")]
    events = run(requests, workers=1)
    assert [type(event) for event in events["speaks_for_others.mp4"]] == [Opened, Chunk, Finished]
    ends = [events[name][-1] for name in ("b.mp4", "c.mp4")]
    assert [type(end) for end in ends] == [Failed, Finished], "b is tried again with --retry"


@pytest.mark.parametrize(("content", "fault"), [(b"", "empty"), (b"text", "not_media")])
def test_a_reader_s_own_fault_comes_through(tmp_path, content, fault):
    asked = request(tmp_path / "bad.mp4", content)
    (event,) = run([asked], decode=misbehaving.decode_file)["bad.mp4"]
    assert (event.fault, "bad.mp4" in event.message) == (fault, True)


def test_a_file_that_is_gone_or_other_than_it_was_found_is_not_decoded(tmp_path):
    gone, other = request(tmp_path / "gone.mp4"), request(tmp_path / "other.mp4")
    Path(gone.file.path).unlink()
    Path(other.file.path).write_bytes(b"something else")
    events = run([gone, other])
    assert [[event.fault for event in group] for group in events.values()] == [
        ["missing"],
        ["changed"],
    ]


def test_a_mistake_of_ours_is_told_in_the_message_and_not_in_the_terminal(tmp_path, capfd):
    run([request(tmp_path / "raises.mp4")])
    assert capfd.readouterr() == ("", "")


def test_a_long_film_that_declares_no_duration_may_take_as_long_as_what_came_of_it(tmp_path):
    limits = WorkerLimits(stall_s=1.0, base_s=0.5, factor=0.1)
    requests = [request(tmp_path / "undeclared.mp4")]
    events = run(requests, workers=1, limits=limits)["undeclared.mp4"]
    assert isinstance(events[-1], Finished)


def test_a_system_that_grants_no_wider_pipes_is_no_obstacle(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(fcntl, "fcntl", refuse)
    events = run([request(tmp_path / "a.mp4")])["a.mp4"]
    assert isinstance(events[-1], Finished)


def test_what_a_codec_prints_does_not_get_between_the_messages(tmp_path):
    events = run([request(tmp_path / "chatter.mp4")])["chatter.mp4"]
    assert isinstance(events[-1], Finished)


def test_a_worker_waits_when_nobody_takes_its_frames_and_is_not_given_up_for_it(tmp_path):
    asked = request(tmp_path / "endless.mp4")
    count = tmp_path / "endless.mp4.count"
    with DecodePool(1, HASTY, decode=misbehaving.made_by_name) as pool:
        events = pool.run(deque([asked]))
        next(events)
        time.sleep(1.2 * max(HASTY.stall_s, HASTY.base_s))
        made = int(count.read_text())
        time.sleep(0.3)
        assert int(count.read_text()) == made < 40  # bounded by the inbox and the pipe
        later = [next(events) for _ in range(made)]
    assert {type(event) for event in later} == {Chunk}
    assert [event.frames.times_F[0] for event in later] == [4.0 * i for i in range(made)]


def test_a_worker_loads_neither_model_nor_database(tmp_path):
    write_video(tmp_path / "modules.mp4", [np.zeros((48, 64, 3), np.uint8)] * 4, fps=1)
    run([request(tmp_path / "modules.mp4")])
    loaded = set((tmp_path / "modules.mp4.modules").read_text().split())
    assert {"av", "numpy"} <= loaded
    assert not loaded & {"torch", "onnxruntime", "lancedb", "pyarrow", "filelock"}


def test_a_process_that_cannot_start_is_a_setup_error_and_no_fault_of_the_file(tmp_path, capfd):
    def local(request):
        yield from ()

    pool = DecodePool(1, decode=local)
    with pool, pytest.raises(SetupError, match=r"cannot start \(exit code 1\)"):
        list(pool.run(deque([request(tmp_path / "a.mp4")])))
    assert "AttributeError" in capfd.readouterr().err


def test_a_process_that_is_killed_while_it_starts_is_replaced(tmp_path, monkeypatch):
    """The file was not its fault, and waits for the next."""
    (tmp_path / "deaths").write_text("a life\n" * 3)
    monkeypatch.setenv(misbehaving.DEATHS, str(tmp_path / "deaths"))
    files = [tmp_path / "a.mp4", tmp_path / "b.mp4"]
    with DecodePool(1, decode=misbehaving.made_by_name) as pool:
        events = list(pool.run(deque(map(request, files))))
    assert (tmp_path / "deaths").read_text() == ""
    finished = [event.request.file.path for event in events if isinstance(event, Finished)]
    assert finished == [str(path) for path in files]


def test_what_is_killed_at_each_start_is_a_setup_error(tmp_path, monkeypatch):
    (tmp_path / "deaths").write_text("a life\n" * 50)
    monkeypatch.setenv(misbehaving.DEATHS, str(tmp_path / "deaths"))
    pool = DecodePool(1, decode=misbehaving.made_by_name)
    with pool, pytest.raises(SetupError, match="killed 6 decoding processes in a row"):
        list(pool.run(deque([request(tmp_path / "a.mp4")])))


def test_leaving_in_the_middle_ends_all_processes(tmp_path):
    requests = deque(request(tmp_path / f"{kind}.mp4") for kind in ("endless", "hang"))
    with (
        pytest.raises(ZeroDivisionError),
        DecodePool(2, decode=misbehaving.made_by_name) as pool,
    ):
        events = pool.run(requests)
        seen = set()
        while len(seen) < 2:
            seen.add(next(events).request.file.path)
        started = children()
        raise ZeroDivisionError
    assert len(started) == 2
    assert not alive(started)


PARENT = """
import sys, time
from collections import deque
from pathlib import Path
from kinoscope.index.decoding import DecodePool
from tests.index import misbehaving
from tests.index.test_decoding import children, request

folder = Path(sys.argv[1])
with DecodePool(2, decode=misbehaving.made_by_name) as pool:
    events = pool.run(deque([request(folder / "hang.mp4"), request(folder / "endless.mp4")]))
    files = set()
    while len(files) < 2:
        files.add(next(events).request.file.path)
    print(*children(), flush=True)
    for event in events:
        pass
"""


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent_however_it_ends(tmp_path, sign):
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[2]
    ) as parent:
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(alive(pids)) == 2
        os.kill(parent.pid, sign)
        parent.wait()
    assert soon(lambda: not alive(pids))


STOPPED = """
import sys
from collections import deque
from pathlib import Path
from kinoscope.index.decoding import DecodePool, WorkerLimits
from tests.index import misbehaving
from tests.index.test_decoding import request

limits = WorkerLimits(stall_s=0.5)
with DecodePool(1, limits, decode=misbehaving.made_by_name) as pool:
    for event in pool.run(deque([request(Path(sys.argv[1]) / "slow.mp4")])):
        print(type(event).__name__, flush=True)
"""


def test_a_run_that_was_stopped_and_goes_on_gives_no_worker_up(tmp_path):
    command = [sys.executable, "-c", STOPPED, str(tmp_path)]
    root = Path(__file__).parents[2]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as parent:
        assert parent.stdout.readline() == "Opened\n"
        os.kill(parent.pid, signal.SIGSTOP)  # as Ctrl-Z does
        time.sleep(1.3)
        os.kill(parent.pid, signal.SIGCONT)
        assert parent.stdout.read().split() == ["Chunk"] * 20 + ["Finished"]


def test_modules_in_the_current_folder_are_not_run(tmp_path, monkeypatch):
    (tmp_path / "av.py").write_text("raise SystemExit(3)")
    (tmp_path / "json.py").write_text("raise SystemExit(3)")
    write_video(tmp_path / "film.mp4", [np.zeros((48, 64, 3), np.uint8)] * 4, fps=1)
    monkeypatch.chdir(tmp_path)
    events = run([request(tmp_path / "film.mp4")], decode=misbehaving.decode_file)
    assert isinstance(events["film.mp4"][-1], Finished)


def test_ctrl_c_in_a_terminal_does_not_reach_the_workers(tmp_path):
    with DecodePool(1, decode=misbehaving.made_by_name) as pool:
        next(pool.run(deque([request(tmp_path / "hang.mp4")])))
        (worker,) = children()
        assert os.getpgid(worker) != os.getpgid(0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"stall_s": 0.0}, "positive"),
        ({"base_s": float("nan")}, "positive"),
        ({"factor": -1.0}, "positive"),
        ({"memory_bytes": 1000}, "256 MiB"),
    ],
)
def test_senseless_limits_are_refused(wrong, words):
    with pytest.raises(UsageError, match=words):
        WorkerLimits(**wrong)
