"""Composed retrieval: sources masked, several targets, galleries of a film."""

import pytest

from kinoscope.errors import UsageError
from tests.evaluation.tasks.toys import Blank, Seer, means, put, run

VIDEOS = ["1/11.mp4", "2/22.mp4", "3/33.mp4"]
PAIRS = (
    "txt1,txt2,pth1,pth2,edit\n"
    "red car,blue car,1/11,2/22,make it blue\n"
    "blue car,red car,2/22,1/11,make it red\n"
    "red car,green car,1/11,3/33,make it green\n"
)
RIGHT = {("11", "make it blue"): "22", ("22", "make it red"): "11", ("11", "make it green"): "33"}


@pytest.mark.parametrize("name", ["webvid-covr", "dense-webvid-covr"])
def test_the_edited_video_is_found(tmp_path, name):
    found = run(name, put(tmp_path, VIDEOS), Seer(RIGHT), pairs=PAIRS)
    assert means(found) == {
        "cvr_r1": 1, "cvr_r5": 1, "cvr_r10": 1, "cvr_r50": 1, "cvr_mnr": 1, "cvr_tied": 0,
    }  # fmt: skip
    assert found.values["cvr_r1"].queries == ("1/11#2", "2/22#3", "1/11#4")
    assert found.values["cvr_r1"].videos == ("1/11", "2/22", "1/11")
    assert found.protocol["gallery"] == 3 and found.protocol["sources_masked"] == 3


def test_a_model_that_ignores_the_edit_finds_its_source_which_is_masked(tmp_path):
    ignoring = {pair: pair[0] for pair in RIGHT}
    put(tmp_path, VIDEOS[:2])
    two = "\n".join(PAIRS.splitlines()[:3]) + "\n"
    found = run("webvid-covr", tmp_path, Seer(ignoring), pairs=two)
    assert means(found)["cvr_r1"] == 1, "of two videos the other one is left"
    text = two + "blue car,blue,2/22,3/33,make it x\n"
    put(tmp_path, VIDEOS[2:])
    three = run("webvid-covr", tmp_path, Seer(ignoring), pairs=text)
    assert means(three)["cvr_r1"] < 1
    blank = means(run("webvid-covr", tmp_path, Blank(), pairs=PAIRS))
    assert blank["cvr_r1"] == 0 and blank["cvr_tied"] == 1


def test_pairs_that_cannot_be_asked_are_counted(tmp_path):
    text = PAIRS + (
        "a,b,1/11,2/22,make it blue\n"  # again
        "a,b,1/11,1/11,same\n"
        "a,b,1/11,9/99,gone\n"
        "a,b,3/33,2/22,\n"
        "a,b,1/11,3/33,make it blue\n"  # another target of the same query
    )
    put(tmp_path, VIDEOS)
    found = run("webvid-covr", tmp_path, Seer(RIGHT, broken=["33"]), pairs=text)
    assert found.left_out.rows == {"duplicate": 1, "same": 1, "video": 1, "text": 1}
    assert list(found.left_out.absent) == ["9/99"]
    assert list(found.left_out.failed) == ["3/33"]
    assert found.left_out.queries == 3, "one of a video that is absent, two of one that failed"
    assert found.protocol["edits_asked_again"] == 1
    assert found.protocol["queries"] == 2
    with pytest.raises(UsageError, match="no query has a source and a target"):
        run("webvid-covr", tmp_path, Seer(), pairs="pth1,pth2,edit\n")


CLIPS = "clip_name,narration_text,video_uid\n" + "".join(
    f"{name},x,{name.split('_')[0]}\n" for name in ("u_0_1", "u_1_2", "u_2_3", "w_0_1", "w_1_2")
)
FOLDERS = ["u/u_0_1.mp4", "u/u_1_2.mp4", "u/u_2_3.mp4", "w/w_0_1.mp4", "w/w_1_2.mp4"]
COLUMNS = "video_clip_id,target_clip_ids,instruction,global_idx,local_idx\n"
FIRST = 'u_0_1,"[\'u_1_2\', \'w_1_2\']",shake it,"[1, 3, 4]","[1, 2]"\n'
SECOND = "w_0_1,['w_1_2'],take it,\"[0, 1, 2, 4]\",[4]\n"


def test_egocvr_asks_in_both_galleries(tmp_path):
    put(tmp_path / "x", FOLDERS)
    (tmp_path / "x" / "videos").rename(tmp_path / "clips")
    right = {("u_0_1", "shake it"): "w_1_2", ("w_0_1", "take it"): "u_1_2"}
    files = {"clips": CLIPS, "annotations": COLUMNS + FIRST + SECOND}
    put(tmp_path, (), **{"egocvr_data.csv": CLIPS})
    found = run("egocvr", tmp_path, Seer(right), annotations=files["annotations"])
    assert found.values["global_r1"].queries == ("u_0_1#2", "w_0_1#3")
    assert found.values["global_r1"].values_Q.tolist() == [1, 0], "any target is right"
    assert found.values["local_r2"].queries == ("u_0_1#2",)
    assert found.protocol["local_not_asked"] == 1, "a gallery of one clip asks nothing"
    assert found.values["local_r2"].values_Q.tolist() == [1]
    assert not found.left_out
    blank = run("egocvr", tmp_path, Blank(), annotations=files["annotations"])
    assert means(blank)["global_r1"] == 0 and means(blank)["local_r1"] == 0


def test_egocvr_names_what_is_unknown_or_absent(tmp_path):
    put(tmp_path / "x", FOLDERS[:-1])
    (tmp_path / "x" / "videos").rename(tmp_path / "clips")
    put(tmp_path, (), **{"egocvr_data.csv": CLIPS})
    text = (
        COLUMNS
        + SECOND.replace("'w_1_2'", "'u_1_2'").replace("[4]", '"[0, 1]"')
        + (
            "nobody,['u_1_2'],x,[1],[1]\n"
            "u_0_1,nothing,x,[1],[1]\n"
            "u_0_1,['u_1_2'],x,[99],[1]\n"
            "u_0_1,['w_1_2'],x,[1],[1]\n"
        )
    )
    found = run("egocvr", tmp_path, Seer(), annotations=text)
    assert found.left_out.rows == {"id": 2, "type": 1, "video": 2}, "a query's, and a gallery's"
    assert list(found.left_out.absent) == ["w_1_2"] and found.left_out.queries == 1
    assert found.values["global_r1"].queries == ("w_0_1#2",)
    assert found.protocol["clips"] == 3
