"""The journal: the same record in both files, seamless after a kill, and a picture of it."""

import csv
import json
import math

import pytest

from kinoscope.errors import UsageError
from kinoscope.training.journal import LINES, TABLE, Journal, plot, read_journal


def record(step: int, **more: float) -> dict[str, float]:
    return {"step": step, "loss": 1 / step, "lr": 0.1, "grad_norm": 2.0, **more}


def table(folder) -> list[dict[str, str]]:
    with (folder / TABLE).open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_lines_and_table_say_the_same_to_the_last_bit(tmp_path):
    journal = Journal(tmp_path)
    for step in range(1, 6):
        journal.append(record(step, **({"loss/qa": math.pi * step} if step % 2 == 0 else {})))
    journal.flush()
    lines, rows = read_journal(tmp_path), table(tmp_path)
    assert [line["loss"] for line in lines] == [1 / step for step in range(1, 6)]
    assert [float(row["loss"]) for row in rows] == [line["loss"] for line in lines]
    assert [row["loss/qa"] for row in rows] == ["", repr(math.pi * 2), "", repr(math.pi * 4), ""]
    assert list(rows[0]) == ["step", "loss", "lr", "grad_norm", "loss/qa"]


def test_a_resumed_run_cuts_what_it_will_write_anew(tmp_path):
    journal = Journal(tmp_path)
    for step in range(1, 9):
        journal.append(record(step, late=1.0) if step > 5 else record(step))
    again = Journal(tmp_path, after_step=4)
    assert [line["step"] for line in read_journal(tmp_path)] == [1, 2, 3, 4]
    assert list(table(tmp_path)[0]) == ["step", "loss", "lr", "grad_norm"]
    again.append(record(5))
    assert [row["step"] for row in table(tmp_path)] == ["1", "2", "3", "4", "5"]


@pytest.mark.parametrize("cut", [1, 10, 30])
def test_a_line_that_a_kill_cut_off_leaves(tmp_path, cut):
    journal = Journal(tmp_path)
    for step in (1, 2, 3):
        journal.append(record(step))
    path = tmp_path / LINES
    path.write_bytes(path.read_bytes()[:-cut])
    Journal(tmp_path, after_step=3)
    assert [line["step"] for line in read_journal(tmp_path)] == [1, 2]
    assert [row["step"] for row in table(tmp_path)] == ["1", "2"]


def test_lines_from_a_run_that_never_had_a_checkpoint_leave(tmp_path):
    Journal(tmp_path).append(record(1))
    Journal(tmp_path)
    assert read_journal(tmp_path) == []


def test_steps_only_go_forward(tmp_path):
    journal = Journal(tmp_path)
    journal.append(record(2))
    with pytest.raises(AssertionError):
        journal.append(record(2))


def test_every_line_is_one_json_object(tmp_path):
    journal = Journal(tmp_path)
    journal.append({"step": 1, "memory_mb": None, "loss": 0.1 + 0.2})
    assert json.loads((tmp_path / LINES).read_text()) == {
        "step": 1,
        "memory_mb": None,
        "loss": 0.1 + 0.2,
    }


def test_the_picture_shows_losses_and_validation(tmp_path):
    from matplotlib.image import imread

    journal = Journal(tmp_path)
    for step in range(1, 40):
        journal.append(record(step, **({"validate/score": step / 40} if step % 10 == 0 else {})))
    path = plot(tmp_path)
    assert path == tmp_path / "journal.png"
    height, width, _ = imread(path).shape
    bare = Journal(tmp_path / "bare")
    bare.append({"step": 1, "loss": math.inf})  # a curve without a single point
    assert imread(plot(tmp_path / "bare")).shape[0] < height  # one panel of four
    assert width > 500


def test_a_folder_without_a_run_has_no_picture(tmp_path):
    with pytest.raises(UsageError, match=r"has no journal\.jsonl: name the folder"):
        plot(tmp_path)
    Journal(tmp_path)
    with pytest.raises(UsageError, match="has no steps yet: train first"):
        plot(tmp_path)
