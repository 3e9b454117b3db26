"""Moments: files in three layouts, windows ranked, highlights, answers that look at nothing."""

import json
from dataclasses import replace

import numpy as np
import pytest

from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks import run_benchmark
from kinoscope.evaluation.tasks.moment_figures import Sought, Told, judged
from kinoscope.evaluation.tasks.protocol import Film
from kinoscope.samples import write_video
from kinoscope.sampling import Window
from tests.evaluation.tasks.toys import COLOURS, Blank, Colours, Seer, means, put, run

# videos of 12 s, windows of 2 s; texts are of the window that begins at 4 s, or at 10 s
LAYOUTS = {
    "charades-sta": "a 4.0 6.0##a door opens\na 10 12##it closes\n",
    "qvhighlights": "".join(
        json.dumps({"qid": qid, "query": said, "vid": "a", "duration": 12,
                    "relevant_windows": [window]}) + "\n"
        for qid, (said, window) in enumerate([("a door opens", [4, 6]), ("it closes", [10, 12])])
    ),
    "activitynet-captions": {"a": {"duration": 12, "timestamps": [[4, 6], [10, 12]],
                                   "sentences": ["a door opens", " it closes"]}},
}  # fmt: skip
RIGHT = {"a door opens": ("a", 4.0), "it closes": ("a", 10.0)}


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_read_whole_and_judged(tmp_path, name):
    put(tmp_path, ["a.mp4"], "12")
    found = run(name, tmp_path, Seer(RIGHT), queries=LAYOUTS[name])
    assert not found.left_out and found.protocol["queries"] == 2
    figures = means(found)
    assert figures["r1_030"] == figures["r1_050"] == figures["r1_070"] == figures["miou"] == 1
    assert figures["map"] == figures["map_075"] == figures["map_short"] == 1
    assert figures["whole_video_r1_050"] == 0, "2 of 12 s"
    assert figures["middle_third_r1_050"] == 0.5, "[4, 8) holds all of [4, 6): half"
    swapped = Seer({"a door opens": ("a", 10.0), "it closes": ("a", 4.0)})
    assert means(run(name, tmp_path, swapped, queries=LAYOUTS[name]))["miou"] == 0
    blank = means(run(name, tmp_path, Blank(), queries=LAYOUTS[name]))
    assert blank["miou"] == 0, "of windows that score the same, the worst comes first"
    assert blank["map"] == pytest.approx(1 / 6, abs=1e-3), "the sixth of six"


def test_charades_is_read_in_the_form_of_qvhighlights_too(tmp_path):
    put(tmp_path, ["a.mp4"], "12", **{"c.jsonl": LAYOUTS["qvhighlights"]})
    files = {"queries": tmp_path / "c.jsonl"}
    found = run_benchmark("charades-sta", tmp_path, Seer(RIGHT), files=files)
    assert found.values["r1_050"].queries == ("a#0", "a#1")


def rated(**more):
    row = {
        "qid": 7, "query": "a door opens", "vid": "a", "duration": 12,
        "relevant_windows": [[4, 8]], "relevant_clip_ids": [2, 3],
        "saliency_scores": [[4, 3, 2], [1, 1, 1]],
    }  # fmt: skip
    return json.dumps(row | more) + "\n"


def test_highlights_are_clips_of_the_best_ratings(tmp_path):
    put(tmp_path, ["a.mp4"], "12")
    figures = means(run("qvhighlights", tmp_path, Seer(RIGHT), queries=rated()))
    # clip 2 is shown by the window that the text is of: first of all
    assert figures["hl_hit1_verygood"] == figures["hl_hit1_fair"] == 1
    assert figures["hl_map_fair"] == 1, "all three annotators"
    assert figures["hl_map_good"] == pytest.approx(2 / 3, abs=1e-3), "two of three chose a clip"
    assert figures["hl_map_verygood"] == pytest.approx(1 / 3, abs=1e-3)
    blank = means(run("qvhighlights", tmp_path, Blank(), queries=rated()))
    assert blank["hl_hit1_fair"] == 0


def test_what_is_left_out_is_named_and_counted(tmp_path):
    rows = [
        rated(),
        rated(),  # the same qid
        rated(qid=8),  # asked again under another name: counted, not left out
        rated(qid=9, relevant_windows=[]),
        rated(qid=10, relevant_windows=[[5, 5]]),
        rated(qid=11, relevant_windows=[[5]]),
        rated(qid=12, vid="gone"),
        rated(qid=13, relevant_clip_ids=[2, 30]),
        rated(qid=14, saliency_scores=[[1]]),
        rated(qid=15, query=" "),
        rated(qid=16, vid="b"),
        "[]\n",
    ]
    put(tmp_path, ["a.mp4", "b.mp4"], "12")
    found = run("qvhighlights", tmp_path, Seer(RIGHT, broken="b"), queries="".join(rows))
    assert found.left_out.rows == {"duplicate": 1, "type": 4, "span": 2, "video": 1, "text": 1}
    assert list(found.left_out.absent) == ["gone"] and list(found.left_out.failed) == ["b"]
    assert found.left_out.queries == 2
    assert found.values["map"].queries == ("a#7", "a#8")
    assert found.protocol["asked_again"] == 1
    with pytest.raises(UsageError, match="no text has a window to look for"):
        run("charades-sta", tmp_path, Seer(), queries="a 1##x\n")
    with pytest.raises(UsageError, match="not one of 1 videos can be read"):
        run("charades-sta", tmp_path, Seer(broken="a"), queries="a 1 2##x\n")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_of_another_layout_is_refused(tmp_path, name):
    put(tmp_path, ["a.mp4"])
    for content in ("[[[", "7", '{"a": 1}', ""):
        with pytest.raises(UsageError, match=r"no JSON|is no object|no text has a window"):
            run(name, tmp_path, Seer(), queries=content)


def test_a_query_of_which_nothing_is_told_counts_as_zero():
    film = Film("a", None)
    asked = [Sought(name, film, "x", np.array([[0.0, 2.0]])) for name in ("one", "two")]
    told = {"one": Told(np.array([[0.0, 2.0, 1.0]]), np.zeros(0))}
    figures = {name: each.metric.value for name, each in judged(asked, told).items()}
    assert figures["r1_050"] == figures["miou"] == figures["map"] == 0.5


def test_a_real_embedder_finds_a_colour_in_a_film(tmp_path):
    (tmp_path / "videos").mkdir()
    halves = [np.full((32, 32, 32, 3), rgb, np.uint8) for rgb in COLOURS.values()]
    write_video(tmp_path / "videos" / "a.mp4", np.concatenate(halves), fps=8)
    (tmp_path / "videos" / "hollow.mp4").write_bytes(b"x")
    sampling = replace(Seer.sampling, windows=(Window(length_s=4.0, stride_s=2.0),))
    put(tmp_path, (), **{"charades_sta_test.txt": "a 0 4##red\na 4 8##blue\nhollow 0 4##red\n"})
    found = run_benchmark("charades-sta", tmp_path, Embedder(Colours(), sampling=sampling))
    assert found.values["r1_070"].values_Q.tolist() == [1, 1]
    assert found.metrics["miou"].value == pytest.approx(1.0, abs=0.05)
    assert found.metrics["whole_video_r1_050"].value == 1.0, "each is half of the film"
    assert list(found.left_out.failed) == ["hollow"] and found.left_out.queries == 1
