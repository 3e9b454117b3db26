"""NegBench: standard and negated captions apart, pictures too, and a choice of four."""

import pytest

from kinoscope.errors import UsageError
from tests.evaluation.tasks.toys import Blank, Seer, means, put, run

STANDARD = "video_id,captions\nvideo1,\"['a dog', 'one dog']\"\nvideo2,\"['a cat']\"\n"
NEGATED = 'video_id,captions\nvideo1,"[\'a dog, no cat\']"\nvideo2,"a cat, no dog"\n'
LABELS = {
    "a dog": "video1", "one dog": "video1", "a cat": "video2",
    "a dog, no cat": "video2", "a cat, no dog": "video2",
}  # fmt: skip


def test_captions_that_negate_are_counted_apart(tmp_path):
    put(tmp_path, ["video1.mp4", "video2.mp4"])
    found = run("negbench-msrvtt", tmp_path, Seer(LABELS), standard=STANDARD, negated=NEGATED)
    figures = means(found)
    assert figures["standard_t2v_r1"] == 1 and figures["negated_t2v_r1"] == 0.5
    assert figures["negated_t2v_r5"] == 1
    assert found.values["standard_t2v_r1"].queries == ("video1#0", "video1#1", "video2#0")
    assert found.protocol["standard_queries"] == 3 and found.protocol["negated_gallery"] == 2
    assert not found.left_out
    blank = means(run("negbench-msrvtt", tmp_path, Blank(), standard=STANDARD, negated=NEGATED))
    assert blank["standard_t2v_r1"] == blank["negated_t2v_r1"] == 0
    assert blank["negated_t2v_tied"] == 1


def test_each_video_is_encoded_once_for_both(tmp_path):
    put(tmp_path, ["video1.mp4", "video2.mp4"])
    model = Seer(LABELS)
    run("negbench-msrvtt", tmp_path, model, standard=STANDARD, negated=NEGATED)
    assert model.asked.count("video1") == 1


def test_pictures_of_coco_are_found_by_their_number(tmp_path):
    folder = tmp_path / "images"
    folder.mkdir()
    (folder / "000000000139.jpg").write_text("x")
    (folder / "000000000285.jpg").write_text("x")
    text = 'image_id,captions\n139,"[\'a dog\']"\n285,"[\'a cat\']"\n7,"[\'x\']"\n285,"[oh"\n'
    labels = {"a dog": "000000000139", "a cat": "000000000285"}
    found = run("negbench-coco", tmp_path, Seer(labels), standard=text, negated=text)
    assert means(found)["standard_t2v_r1"] == 1
    assert found.left_out.rows == {"video": 2, "type": 2}
    assert list(found.left_out.absent) == ["7"] and found.left_out.queries == 2


HEADER = (
    "correct_answer,caption_0,caption_1,caption_2,caption_3,correct_answer_template,image_path\n"
)
ROWS = [
    "1,w1,right a,w2,w3,positive,/data/videos/a.mp4",
    "3,w1,w2,w3,right b,negative,b.mp4",
    "0,right b2,w2,w3,w4,hybrid,b.mp4",
]


def test_the_nearest_of_four_captions_is_chosen(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4"])
    labels = {"right a": "a", "right b": "b", "w4": "b"}
    found = run("negbench-msrvtt-mcq", tmp_path, Seer(labels), questions=HEADER + "\n".join(ROWS))
    assert found.values["accuracy"].values_Q[:2].tolist() == [1, 1]
    assert means(found)["accuracy_positive"] == means(found)["accuracy_negative"] == 1
    assert means(found)["accuracy_hybrid"] == 0
    assert found.values["accuracy"].queries == ("a#2", "b#3", "b#4")
    assert found.values["accuracy"].videos == ("a", "b", "b")
    blank = run("negbench-msrvtt-mcq", tmp_path, Blank(), questions=HEADER + "\n".join(ROWS))
    assert means(blank)["accuracy"] == 0, "equal scores choose nothing"


def test_choices_that_cannot_be_asked_are_counted(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4"])
    rows = [
        *ROWS,
        "4,a,b,c,d,x,a.mp4",
        "0,a,a,c,d,x,a.mp4",
        "0,a,b,c,,x,a.mp4",
        "0,a,b,c,d,x,z.mp4",
    ]
    questions = HEADER + "\n".join(rows)
    found = run("negbench-msrvtt-mcq", tmp_path, Seer(broken="a"), questions=questions)
    assert found.left_out.rows == {"type": 2, "text": 1, "video": 1}
    assert found.left_out.queries == 2 and found.protocol["questions"] == 2
    with pytest.raises(UsageError, match="no question can be asked"):
        run("negbench-msrvtt-mcq", tmp_path, Seer(), questions=HEADER)
