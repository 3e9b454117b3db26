"""CiA: three galleries by hand, ceilings of shared texts, labels that name nothing."""

import pytest

from kinoscope.errors import UsageError
from tests.evaluation.tasks.toys import Blank, Seer, means, put, run

TEXTS = {"1_0.0": "closing", "1_1.0": "opening", "2_0.0": "falling", "2_1.0": "rising"}
VIDEOS = {"a": "1_0.0", "b": "1_0.0", "c": "1_1.0", "d": "2_0.0", "e": "2_1.0"}


def files_of(texts, videos, *more):
    rows = [f"{i},{said},time,cia-ssv2,text" for i, said in texts.items()]
    rows += [f"{i},{i},time,cia-ssv2,video" for i in videos]
    rows += ["z,z,time,cia-epic,video", "z2,z,negation,neg-coco,image", *more]
    labels = {video: [text] for video, text in videos.items()}
    inputs = "id,value,nuance,source,modality\n" + "\n".join(rows) + "\n"
    return {"inputs": inputs, "labels": labels}


def seer(texts, videos, **more):
    return Seer({video: texts[text] for video, text in videos.items()} | more)


def test_galleries_by_hand(tmp_path):
    put(tmp_path, [f"{video}.webm" for video in VIDEOS])
    # c is seen as rising, d as closing
    found = run("cia-ssv2", tmp_path, seer(TEXTS, VIDEOS, c="rising", d="closing"),
                **files_of(TEXTS, VIDEOS))  # fmt: skip
    assert found.values["chiral_v2t_r1"].queries == ("a", "b", "c", "d", "e")
    order = found.values["all_t2v_r1"].queries
    assert order == ("1_0.0", "1_1.0", "2_0.0", "2_1.0")
    assert found.values["all_t2v_r1"].videos == ("1", "1", "2", "2"), "clusters are groups"
    figures = means(found)
    # among all, "closing" ties a and b with d; "rising" ties e with c
    assert found.values["all_t2v_r1"].values_Q[0] == 0
    assert found.values["all_t2v_r1"].values_Q[3] == 0
    # a, b, d are closing: at places 1 to 3 for "closing", d counts before both of its ties
    assert found.values["all_t2v_map"].values_Q[0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    # static: closing among falling: d ties again; rising among opening: c is in the way
    assert found.values["static_t2v_r1"].values_Q[[0, 3]].tolist() == [0, 0]
    # chiral: closing against opening, rising against falling: nothing is in the way
    assert found.values["chiral_t2v_r1"].values_Q[[0, 3]].tolist() == [1, 1]
    assert found.values["all_v2t_r1"].values_Q.tolist() == [1, 1, 0, 0, 1]
    assert figures["all_v2t_r1"] == 0.6
    assert set(found.protocol["ceiling"].values()) == {1.0}
    assert (found.protocol["groups"], found.protocol["texts"]) == (2, 4)
    assert not found.left_out


def test_perfect_and_blank_models(tmp_path):
    put(tmp_path, [f"{video}.webm" for video in VIDEOS])
    files = files_of(TEXTS, VIDEOS)
    perfect = means(run("cia-ssv2", tmp_path, seer(TEXTS, VIDEOS), **files))
    assert {v for name, v in perfect.items() if "tied" not in name} == {1.0}
    blank = means(run("cia-ssv2", tmp_path, Blank(), **files))
    assert {v for name, v in blank.items() if name.endswith("_r1")} == {0.0}
    assert {v for name, v in blank.items() if "tied" in name} == {1.0}


def test_a_text_that_two_groups_share_lowers_the_ceiling(tmp_path):
    put(tmp_path, [f"{video}.webm" for video in VIDEOS])
    shared = {**TEXTS, "2_1.0": "opening"}
    found = run("cia-ssv2", tmp_path, seer(shared, VIDEOS), **files_of(shared, VIDEOS))
    ceiling = found.protocol["ceiling"]
    assert ceiling["chiral_t2v_r1"] == ceiling["chiral_v2t_r1"] == 1.0
    assert ceiling["all_t2v_r1"] == ceiling["static_t2v_r1"] == 0.5
    assert ceiling["all_v2t_r1"] == 0.6
    reached = means(found)
    assert {name: reached[name] for name in ceiling} == pytest.approx(ceiling, abs=1e-4)


def test_what_is_left_out_is_named_and_counted(tmp_path):
    put(tmp_path, [f"{video}.webm" for video in (*VIDEOS, "f", "g")])
    videos = {**VIDEOS, "f": "9_0.0", "gone": "1_0.0"}
    files = files_of(TEXTS, videos, "g,g,time,cia-ssv2,video", "a,a,time,cia-ssv2,video")
    found = run("cia-ssv2", tmp_path, Seer(broken="e"), **files)
    assert found.left_out.rows == {"id": 2, "video": 1, "duplicate": 1}
    assert list(found.left_out.absent) == ["gone"] and list(found.left_out.failed) == ["e"]
    assert found.left_out.queries == 2
    # without e, nothing rises: "falling" has no opposite, and "opening" no other action like it
    assert found.protocol["texts_alone_in_a_gallery"] == {"chiral": 1, "static": 1, "all": 0}
    assert found.values["chiral_t2v_r1"].queries == ("1_0.0", "1_1.0")
    with pytest.raises(UsageError, match="no video of cia-epic has a text: 1 left out"):
        run("cia-epic", tmp_path, Seer(), **files)
