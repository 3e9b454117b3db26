"""Commands on the world: what they write and print, and one sentence for each mistake."""

import json
import textwrap

import pytest
from PIL import Image

from kinoscope.training.world import WorldConfig, sample
from kinoscope.training.world.dataset import read
from kinoscope.training.world.records import Record
from kinoscope.training.world.render import frame_times, render

QUICK = ("--plain", "--seconds", "2", "--split", "test")


def test_make_writes_a_data_set_and_prints_its_records(run, no_network, tmp_path) -> None:
    words = ("--n", 3, "--size", "64x48", "--fps", 4, "--workers", 1, "--seed", 2, "--json")
    code, out, err = run("world", "make", *QUICK, *words, "--to", tmp_path / "new")
    assert code == 0, err
    records = tuple(Record.from_json(line) for line in out.splitlines())
    assert [record.seed for record in records] == [2, 3, 4]
    assert records == read(tmp_path / "new")
    assert err.splitlines()[-1] == f"3 videos in {tmp_path / 'new'}"
    again = run("world", "make", *QUICK, *words, "--to", tmp_path / "new")
    assert again[:2] == (0, out)


def test_make_without_json_prints_nothing_to_parse(run, no_network, tmp_path) -> None:
    words = ("--n", 1, "--size", "64x48", "--fps", 2, "--partners", "--to", tmp_path / "new")
    code, out, err = run("world", "make", *QUICK, *words)
    assert (code, out) == (0, ""), err
    assert len(list((tmp_path / "new" / "videos").glob("*.mp4"))) > 2


@pytest.mark.parametrize("count", [1, 3])
def test_show_writes_a_sheet_of_eight_frames_a_video(run, no_network, tmp_path, count) -> None:
    sheet = tmp_path / "sheet.png"
    code, out, err = run("world", "show", *QUICK, "--n", count, "--to", sheet, "--json")
    assert code == 0, err
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["seed"] for row in rows] == list(range(count))
    titles = [f"test {row['seed']}: {row['caption']}" for row in rows]
    lines = sum(len(textwrap.wrap(title, 200)) for title in titles)
    with Image.open(sheet) as image:
        assert (image.format, image.size) == ("PNG", (8 * 160, 166 * count + 13 * lines))
        last = sample("test", count - 1, WorldConfig(sprites=(), duration_s=2.0))
        for number, rgb_HWC in enumerate(render(last, frame_times(2.0, 4)).rgb_FHWC):
            left, top = 160 * number, image.height - 166
            tile = image.crop((left, top, left + 158, top + 158))
            assert tile == Image.fromarray(rgb_HWC).resize((158, 158))
    plain = run("world", "show", *QUICK, "--n", count, "--to", sheet)
    assert plain[1].splitlines() == [row["caption"] for row in rows]


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["make", "--to", "new", "--split", "dev"], 2, "split 'dev': choose train, validation"),
        (["make", "--to", "new", "--n", "0"], 2, "0 videos: choose 1 or more"),
        (["make", "--to", "new", "--size", "big"], 2, "--size 'big': write WxH"),
        (["make", "--to", "new", "--size", "65x64"], 2, "frames of 65x64 px: choose even sides"),
        (["make", "--to", "new", "--fps", "0"], 2, "0.0 frames a second: choose 1 to 60"),
        (["make", "--to", "new", "--seed", "-1"], 2, "seed -1: choose 0 or more"),
        (["make", "--to", "new", "--seconds", "1"], 2, "videos of 1.0 s: choose 2 to 600"),
        (["make", "--to", "new", "--nouns", "all"], 2, "nouns 'all': choose held_out or seen"),
        (["make", "--to", "new", "--workers", "0"], 2, "0 workers: choose 1 or more"),
        (["make", "--to", "full"], 2, "full holds other files: choose a new or empty folder"),
        (["make", "--to", "full/file/new"], 6, "cannot write to full/file/new"),
        (["show", "--to", "new", "--n", "0"], 2, "0 videos on a sheet: choose 1 to 100"),
        (["show", "--to", "new", "--split", "dev"], 2, "split 'dev': choose train"),
        (["show", "--to", "absent/new", "--n", "1"], 6, "cannot write absent/new"),
    ],
)
def test_a_mistake_is_one_sentence(
    run, no_network, tmp_path, monkeypatch, words, code, sentence
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    found, out, err = run("world", *words, "--plain")
    assert (found, out) == (code, ""), err
    assert err.startswith(f"kinoscope: {sentence}")
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "new").exists()


def test_sprites_that_cannot_be_fetched_are_one_sentence(
    run, no_network, tmp_path, monkeypatch
) -> None:
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, err = run("world", "fetch")
    assert code == 6
    assert err.splitlines()[-1] == (
        "kinoscope: sprites need the command npm: install it, or draw shapes alone (sprites=())"
    )
