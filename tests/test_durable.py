"""What is new in a folder is flushed, once, content before names."""

import os
from pathlib import Path

from kinoscope import durable
from kinoscope.durable import Flusher, write_atomically


def flushed(monkeypatch) -> list[str]:
    """Names in the order in which they are flushed from now on."""
    names: list[str] = []
    monkeypatch.setattr(durable, "flush", lambda path: names.append(path.name))
    return names


def test_new_files_are_flushed_before_the_folders_that_name_them(tmp_path, monkeypatch) -> None:
    (tmp_path / "table" / "data").mkdir(parents=True)
    (tmp_path / "table" / "data" / "one").write_text("1")
    names = flushed(monkeypatch)
    assert [p.name for p in Flusher(tmp_path / "table").flush()] == ["one"]
    assert names == ["one", "data", "table"]


def test_what_is_flushed_already_is_left_alone(tmp_path, monkeypatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "one").write_text("1")
    flusher = Flusher(tmp_path)
    flusher.flush()
    names = flushed(monkeypatch)
    assert flusher.flush() == []
    (tmp_path / "data" / "two").write_text("2")
    assert flusher.flush() == [tmp_path / "data" / "two"]
    (tmp_path / "data" / "one").unlink()
    assert flusher.flush() == []
    assert names == ["two", "data", "data"]


def test_a_file_that_is_replaced_or_written_again_is_flushed_again(tmp_path, monkeypatch) -> None:
    path = tmp_path / "hint"
    path.write_text("1")
    flusher = Flusher(tmp_path)
    flusher.flush()
    names = flushed(monkeypatch)
    path.write_text("22")
    os.utime(path, ns=(0, 5))
    flusher.flush()
    (tmp_path / "draft").write_text("33")
    os.utime(tmp_path / "draft", ns=(0, 5))
    (tmp_path / "draft").replace(path)
    flusher.flush()
    assert names == ["hint", "hint"]


def test_a_file_that_vanishes_meanwhile_is_no_error(tmp_path, monkeypatch) -> None:
    (tmp_path / "one").write_text("1")
    flush = durable.flush

    def late(path: Path) -> None:
        if path.name == "one":
            path.unlink(missing_ok=True)
        flush(path)

    monkeypatch.setattr(durable, "flush", late)
    assert Flusher(tmp_path).flush() == []


def test_a_text_is_flushed_before_it_is_in_place_and_its_name_after(tmp_path, monkeypatch) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    told = []
    monkeypatch.setattr(durable, "flush", lambda p: told.append((p.name, path.read_text())))
    write_atomically(path, "new")
    assert told == [("a.json", "old"), (tmp_path.name, "new")]
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]
