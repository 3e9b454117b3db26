"""Questions in five layouts: options and own words, kinds, what cannot be asked."""

import pytest

from kinoscope.errors import UsageError
from tests.evaluation.tasks.toys import Blank, Seer, means, put, run

NEXT = "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
LAYOUTS = {
    "msrvtt-qa": {"questions": [
        {"id": 1, "video_id": 7010, "question": "what runs?", "answer": "dog", "category_id": 1},
        {"id": 2, "video_id": 7010, "question": "who sits?", "answer": "cat"}]},
    "msvd-qa": {"questions": [
        {"video": "video7010", "question": "what runs?", "answer": "dog"},
        {"video": "video7010", "question": "who sits?", "answer": "cat"}]},
    "activitynet-qa": {
        "questions": [{"video_name": "7010", "question": "what runs?", "question_id": "q1"},
                      {"video_name": "7010", "question": "who sits?", "question_id": "q2"}],
        "answers": [{"answer": "dog", "type": 3, "question_id": "q1"},
                    {"answer": "cat", "type": 3, "question_id": "q2"}]},
    "next-qa": {"questions": NEXT + "video7010,9,1,1,what runs?,1,6,CW,cat,dog,cow,pig,hen\n"
                                    "video7010,9,1,1,who sits?,0,7,TN,cat,dog,cow,pig,hen\n"},
    "mvbench": {"questions": [
        {"video": "video7010.mp4", "question": "what runs?", "candidates": ["cat", "dog"],
         "answer": "dog"},
        {"video": "video7010.mp4", "question": "who sits?", "candidates": ["cat", "dog"],
         "answer": "cat"}]},
}  # fmt: skip
TOLD = {("video7010", "what runs?"): "dog", ("video7010", "who sits?"): "cat"}
TOLD |= {("v_7010", asked): said for (_, asked), said in TOLD.items()}


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_read_whole_and_judged(tmp_path, name):
    put(tmp_path, ["video7010.mp4", "v_7010.mp4"])
    found = run(name, tmp_path, Seer(TOLD), **LAYOUTS[name])
    assert not found.left_out and means(found)["accuracy"] == 1
    assert found.protocol["questions"] == 2
    wrong = dict.fromkeys(TOLD, "dog")
    other = run(name, tmp_path, Seer(wrong), **LAYOUTS[name])
    assert other.values["accuracy"].values_Q.tolist() == [1, 0]
    blank = run(name, tmp_path, Blank(), **LAYOUTS[name])
    assert means(blank)["accuracy"] == (0.5 if "option" in str(blank.protocol["answers"]) else 0)


def test_words_are_compared_after_normalisation_and_options_as_they_are(tmp_path):
    put(tmp_path, ["video7010.mp4"])
    near = {("video7010", "what runs?"): "A dog.", ("video7010", "who sits?"): "the cats"}
    found = run("msrvtt-qa", tmp_path, Seer(near), **LAYOUTS["msrvtt-qa"])
    assert found.values["accuracy"].values_Q.tolist() == [1, 0]
    assert "SQuAD" in found.protocol["answers"] and found.protocol["chance"] == 0


def test_kinds_of_questions_are_counted_apart(tmp_path):
    put(tmp_path, ["video7010.mp4"])
    found = run("next-qa", tmp_path, Seer(TOLD), **LAYOUTS["next-qa"])
    assert set(means(found)) == {"accuracy", "accuracy_cw", "accuracy_tn"}
    assert found.values["accuracy_tn"].queries == ("video7010#7",)
    assert found.protocol["chance"] == pytest.approx(0.2)


def test_what_cannot_be_asked_is_named_and_counted(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4"])
    rows = [
        "a,9,1,1,what?,1,6,CW,cat,dog,cow,pig,hen",
        "a,9,1,1,what?,1,6,CW,cat,dog,cow,pig,hen",  # again
        "a,9,1,1,what?,5,8,CW,cat,dog,cow,pig,hen",
        "a,9,1,1,what?,0,9,CW,cat,cat,cow,pig,hen",
        "a,9,1,1,what?,0,10,CW,cat,,cow,pig,hen",
        "gone,9,1,1,what?,0,11,CW,cat,dog,cow,pig,hen",
        "b,9,1,1,what?,0,12,CW,cat,dog,cow,pig,hen",
        "b,9,1,1,what?,0,13,CW,cat,dog,cow,pig,hen",
    ]
    found = run("next-qa", tmp_path, Seer(broken="b"), questions=NEXT + "\n".join(rows))
    assert found.left_out.rows == {"duplicate": 1, "type": 2, "text": 1, "video": 1}
    assert list(found.left_out.absent) == ["gone"] and list(found.left_out.failed) == ["b"]
    assert found.left_out.queries == 3 and found.values["accuracy"].queries == ("a#6",)
    alone = [{"video_name": "a", "question": "x", "question_id": "q9"}]
    with pytest.raises(UsageError, match=r"no question can be asked: 1 left out \(1 id\)"):
        run("activitynet-qa", tmp_path, Seer(), questions=alone, answers=[])


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_file_of_another_layout_is_refused(tmp_path, name):
    put(tmp_path, ["a.mp4"])
    for content in ("[[[", "7", '{"a": 1}', ""):
        files = dict.fromkeys(LAYOUTS[name], content)
        with pytest.raises(UsageError, match=r"no JSON|no column|not a list"):
            run(name, tmp_path, Seer(), **files)
