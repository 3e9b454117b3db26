"""The file of features: whole entries or none, by several processes, after a kill at any point."""

import json
import multiprocessing
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from kinoscope.training.sources.entries import Entries, Entry
from kinoscope.types import Features
from tests.training.sources.films import same

LINE = Entry(item="a" * 64, offset=0, dtype="<f2", shape=(2, 3), sha256="b" * 64)


@pytest.mark.parametrize(
    "change",
    [
        {"dtype": "O"},
        {"dtype": "|V8"},
        {"dtype": "U4"},
        {"dtype": "1 2,f4"},
        {"dtype": 7},
        {"shape": []},
        {"shape": [-1, 3]},
        {"shape": [2.0, 3]},
        {"shape": "23"},
        {"offset": -8},
        {"offset": True},
        {"item": 3},
        {"more": 1},
    ],
)
def test_an_index_names_plain_numbers_alone(change):
    assert Entry.parse(LINE.line()) == LINE
    assert Entry.parse(json.dumps({**json.loads(LINE.line()), **change}).encode()) is None


def test_an_index_that_claims_bytes_which_are_not_there_takes_no_memory(tmp_path):
    huge = Entry(item="a", offset=0, dtype="<f8", shape=(2**40, 2**20), sha256="b")
    (tmp_path / "index.jsonl").write_bytes(huge.line())
    (tmp_path / "features.bin").write_bytes(b"x")
    kept = Entries(tmp_path, 2**20)
    assert kept.get("a") is None
    assert (kept.damaged, kept.size_bytes) == (1, 0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64", "uint8", "bool"])
def test_every_plain_dtype_comes_back_as_it_was(tmp_path, dtype):
    values_F = (np.arange(30).reshape(3, 2, 5) % 7).astype(dtype)
    features = Features(values_F.transpose(0, 2, 1), np.array([0.1, 0.2, 1 / 3]))
    Entries(tmp_path, 2**20).put("a", features)
    found = Entries(tmp_path, 2**20).get("a")
    assert found is not None
    assert same(found, features)


WRITER = """
import sys
import numpy as np
from pathlib import Path
from kinoscope.training.sources.entries import Entries
from kinoscope.types import Features
entries = Entries(Path(sys.argv[1]), 2**40)
for n in range(int(sys.argv[2]), 10**6):
    values = np.random.default_rng(n).random((5, 40_000)).astype(np.float32)
    entries.put(str(n), Features(values, np.arange(5.0) + n))
    print(n, flush=True)
"""


def made(number):
    values_F = np.random.default_rng(number).random((5, 40_000)).astype(np.float32)
    return Features(values_F, np.arange(5.0) + number)


def test_a_kill_at_any_point_leaves_whole_entries_to_go_on_from(tmp_path):
    first = 0
    for delay_s in (0.01, 0.023, 0.05):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(first)], stdout=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert int(writer.stdout.readline()) == first
        time.sleep(delay_s)
        writer.send_signal(signal.SIGKILL)
        told = [int(line) for line in writer.stdout.read().splitlines() if line.strip()]
        writer.wait()
        writer.stdout.close()
        entries = Entries(tmp_path, 2**40)
        last = told[-1] if told else first
        for number in range(last + 1):
            found = entries.get(str(number))
            assert found is not None, number
            assert same(found, made(number))
        assert entries.damaged == 0
        first = last + 1  # which may have been written, but not told of


def write_many(folder, first):
    entries = Entries(folder, 2**40)
    for number in range(first, 60, 2):
        entries.put(str(number), made(number))


def test_several_processes_write_and_read_at_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write_many, args=(tmp_path, n)) for n in (0, 1)]
    for writer in writers:
        writer.start()
    reader, missing = Entries(tmp_path, 2**40), set(range(60))
    while missing and any(writer.is_alive() for writer in writers):
        for number in list(missing):
            found = reader.get(str(number))
            if found is not None:
                assert same(found, made(number))
                missing.remove(number)
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert all(same(reader.get(str(n)), made(n)) for n in range(60))
    assert reader.damaged == 0
    lines = (tmp_path / "index.jsonl").read_bytes().splitlines()
    assert len(lines) == 60


def test_a_torn_line_that_is_longer_than_the_next_leaves_nothing_behind(tmp_path):
    Entries(tmp_path, 2**40).put("0", made(0))
    with (tmp_path / "index.jsonl").open("ab") as stream:
        stream.write(b"x" * 1000)
    Entries(tmp_path, 2**40).put("1", made(1))
    later = Entries(tmp_path, 2**40)
    assert same(later.get("0"), made(0))
    assert same(later.get("1"), made(1))
    assert (tmp_path / "index.jsonl").read_bytes().endswith(b"}\n")
