"""Adverbs against their antonyms, in the files of PseudoAdverbs."""

import pytest

from kinoscope.errors import UsageError
from tests.evaluation.tasks.toys import Blank, Seer, means, put, run

ADVERBS = "adverb,antonym\nslowly,quickly\nquickly,slowly\n"
ROWS = "clip_id,caption,clustered_action,clustered_adverb\n"
ROWS += "a,he cuts,cut,slowly\nb,she cuts,cut,quickly\n"
SLOW, QUICK = (f"The action cut is performed {each}." for each in ("slowly", "quickly"))


def test_the_adverb_must_be_nearer_than_its_antonym(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4"])
    files = {"annotations": ROWS, "adverbs": ADVERBS}
    found = run("vatex-adverbs", tmp_path, Seer({SLOW: "a", QUICK: "b"}), **files)
    assert means(found) == {"accuracy": 1, "tied": 0} and not found.left_out
    assert found.values["accuracy"].queries == ("a#cut slowly", "b#cut quickly")
    always = run("vatex-adverbs", tmp_path, Seer({SLOW: "x", "a": "x", "b": "x"}), **files)
    assert always.values["accuracy"].values_Q.tolist() == [1, 0]
    assert means(run("vatex-adverbs", tmp_path, Blank(), **files)) == {"accuracy": 0, "tied": 1}


def test_what_is_left_out_is_named_and_counted(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4"])
    rows = ROWS + "a,x,cut,slowly\na,x,cut,oddly\na,x,,slowly\ngone,x,cut,slowly\n"
    files = {"annotations": rows, "adverbs": ADVERBS}
    found = run("msrvtt-adverbs", tmp_path, Seer(broken="b"), **files)
    assert found.left_out.rows == {"duplicate": 1, "id": 1, "text": 1, "video": 1}
    assert list(found.left_out.absent) == ["gone"] and list(found.left_out.failed) == ["b"]
    assert found.left_out.queries == 2
    with pytest.raises(UsageError, match="no action has an adverb"):
        run("vatex-adverbs", tmp_path, Seer(), annotations=ROWS.split("\n")[0], adverbs=ADVERBS)
