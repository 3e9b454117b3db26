"""RTime: forwards against backwards, in files of their own or turned round when read."""

import numpy as np
import pytest

from kinoscope.clips import read_clip
from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks.protocol import turned
from kinoscope.types import Frames
from tests.evaluation.oracles import vector
from tests.evaluation.tasks.toys import Blank, Seer, means, put, run
from tests.training.sources.films import film

LISTED = [
    {"video_id": "1", "forward_caption": "opens", "reversed_caption": "closes"},
    {"video_id": 2, "forward_caption": "rises", "reversed_caption": "falls"},
]
KEYED = {
    "1": {"forward_captions": ["opens", "un"], "reverse_captions": ["closes"]},
    "2": {"forward_captions": ["rises"], "reverse_captions": ["falls"]},
}
FILES = ["1.mp4", "1-reverse.mp4", "2.mp4", "2-reverse.mp4"]
RIGHT = {"opens": "1", "closes": "1-reverse", "rises": "2", "falls": "2-reverse"}


@pytest.mark.parametrize("captions", [LISTED, KEYED])
def test_one_that_sees_direction_finds_all(tmp_path, captions):
    found = run("rtime", put(tmp_path, FILES), Seer(RIGHT), captions=captions)
    assert not found.left_out
    figures = means(found)
    assert {v for name, v in figures.items() if "tied" not in name} == {1.0}
    assert {v for name, v in figures.items() if "tied" in name} == {0.0}
    assert found.values["t2v_2k_r1"].queries == ("1", "2", "1-reverse", "2-reverse")
    assert found.values["t2v_2k_r1"].videos == ("1", "2", "1", "2")


def test_one_that_sees_none_ties_and_is_wrong(tmp_path):
    blind = {"opens": "1", "closes": "1", "rises": "2", "falls": "2"}
    blind |= {"1-reverse": "1", "2-reverse": "2"}
    figures = means(run("rtime", put(tmp_path, FILES), Seer(blind), captions=LISTED))
    assert figures["binary_t2v"] == figures["binary_v2t"] == 0
    assert figures["binary_t2v_tied"] == figures["binary_v2t_tied"] == 1
    assert figures["t2v_1k_r1"] == figures["v2t_1k_r1"] == 1
    assert figures["t2v_2k_r1"] == figures["v2t_2k_r1"] == 0
    blank = means(run("rtime", tmp_path, Blank(), captions=LISTED))
    assert blank["binary_t2v"] == blank["t2v_1k_r1"] == 0 and blank["t2v_1k_tied"] == 1


def test_the_wrong_way_round_is_wrong_in_both_directions(tmp_path):
    wrong = {**RIGHT, "opens": "1-reverse", "closes": "1"}
    found = run("rtime", put(tmp_path, FILES), Seer(wrong), captions=LISTED)
    assert found.values["binary_t2v"].values_Q.tolist() == [0, 1]
    assert found.values["binary_v2t"].values_Q.tolist() == [0, 1]
    assert found.values["t2v_1k_r1"].values_Q.shape == (2,)


class Watcher(Seer):
    """Sees which way the frames go, in files and in frames alike."""

    def __init__(self, forward):
        super().__init__()
        self.forward = forward

    def _vector(self, given):
        if isinstance(given, str):
            return vector({"opens": True, "closes": False}[given])
        frames = given if isinstance(given, Frames) else read_clip(given, self.sampling)
        forwards = np.array_equal(frames.rgb_FHWC, self.forward.rgb_FHWC)
        assert forwards or np.array_equal(frames.rgb_FHWC, self.forward.rgb_FHWC[::-1])
        return vector(forwards)


def test_a_reversal_without_a_file_is_the_film_turned_round(tmp_path):
    path = film(tmp_path / "videos" / "1.mp4")
    forward = read_clip(path, Seer.sampling)
    assert not np.array_equal(forward.rgb_FHWC[0], forward.rgb_FHWC[-1]), "something moves"
    found = run("rtime", tmp_path, Watcher(forward), captions=LISTED[:1])
    assert means(found)["binary_t2v"] == means(found)["binary_v2t"] == 1
    back = turned(forward)
    assert np.array_equal(back.rgb_FHWC[0], forward.rgb_FHWC[-1])
    assert np.allclose(np.diff(back.times_F), np.diff(forward.times_F)[::-1])
    assert back.times_F[0] == forward.times_F[0]


def test_what_is_left_out_is_named_and_counted(tmp_path):
    rows = [
        *LISTED,
        {"video_id": "1", "forward_caption": "x", "reversed_caption": "y"},
        {"video_id": "3", "forward_caption": "x", "reversed_caption": "y"},
        {"video_id": "2b", "forward_caption": "x"},
        7,
    ]
    put(tmp_path, [*FILES, "2b.mp4"])
    found = run("rtime", tmp_path, Seer(RIGHT, broken=["2-reverse"]), captions=rows)
    assert found.left_out.rows == {"duplicate": 1, "video": 1, "type": 2}
    assert list(found.left_out.absent) == ["3"]
    assert list(found.left_out.failed) == ["2-reverse"]
    assert found.left_out.queries == 2
    assert found.values["binary_t2v"].queries == ("1",), "the first row of 1 counts"
    with pytest.raises(UsageError, match="no video has both captions"):
        run("rtime", tmp_path, Seer(), captions=[])
