"""Retrieval benchmarks in their file layouts: both ways, several captions, what is left out."""

import re
from pathlib import Path

import numpy as np
import pytest

from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.evaluation.tasks import BENCHMARKS, run_benchmark
from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import Options
from kinoscope.samples import write_video
from tests.evaluation.tasks.toys import COLOURS, Blank, Colours, Seer, means, put, run

PARAGRAPHS = {"a": "A dog runs. It stops.", "b": "A cat sleeps. It wakes."}


def sentences(paragraph):
    """As annotations have them, blanks included."""
    return paragraph.replace(". ", ".| ").split("|")


LAYOUTS = {
    "msr-vtt": {
        "captions": "key,vid_key,video_id,sentence\n"
        'ret0,msr0,a,"A dog runs. It stops."\nret1,msr1,b,A cat sleeps. It wakes.\n'
    },
    "msvd": {
        "captions": "# remark\na A dog runs. It stops.\nx not in the test\n"
        "b A cat sleeps. It wakes.\n",
        "ids": "a\nb\n",
    },
    "vatex": {"captions": [{"videoID": v, "enCap": [t], "chCap": ["一"]}
                           for v, t in PARAGRAPHS.items()]},
    "didemo": {"captions": [{"video": f"{v}.mov", "description": part, "times": [[0, 0]]}
                            for v, t in PARAGRAPHS.items() for part in sentences(t)]},
    "activitynet": {"captions": {f"v_{v}": {"duration": 4, "timestamps": [[0, 1], [1, 2]],
                                            "sentences": sentences(t)}
                                 for v, t in PARAGRAPHS.items()}},
    "lsmdc": {"captions": "".join(f"{v}\t0\t1\t0\t1\t{t}\n" for v, t in PARAGRAPHS.items())},
    "vdc": {"captions": PARAGRAPHS},
    "dream-1k": {"captions": [{"idx": f"{v}.mp4", "description": t}
                              for v, t in PARAGRAPHS.items()]},
    "carebench": {"captions": [{"video": f"{v}.mp4", "caption": t, "spatial_caption": "s",
                                "temporal_caption": "t"} for v, t in PARAGRAPHS.items()]},
    "carebench-spatial": {"captions": [{"video": f"{v}.mp4", "caption": "c",
                                        "spatial_caption": t} for v, t in PARAGRAPHS.items()]},
    "carebench-temporal": {"captions": {v: {"caption": "c", "temporal": t}
                                        for v, t in PARAGRAPHS.items()}},
}  # fmt: skip


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_is_read_whole_and_judged(tmp_path, name):
    put(tmp_path, ["a.mp4", "b.mp4"])
    right = Seer({text: video for video, text in PARAGRAPHS.items()})
    found = run(name, tmp_path, right, **LAYOUTS[name])
    assert not found.left_out
    assert means(found) == {
        "t2v_r1": 1, "t2v_r5": 1, "t2v_r10": 1, "v2t_r1": 1, "v2t_r5": 1, "v2t_r10": 1,
        "t2v_mdr": 1, "v2t_mdr": 1, "t2v_mnr": 1, "v2t_mnr": 1, "t2v_tied": 0, "v2t_tied": 0,
    }  # fmt: skip
    assert found.protocol["gallery_videos"] == found.protocol["gallery_texts"] == 2
    swapped = Seer({PARAGRAPHS["a"]: "b", PARAGRAPHS["b"]: "a"})
    other = means(run(name, tmp_path, swapped, **LAYOUTS[name]))
    assert (other["t2v_r1"], other["v2t_r1"], other["t2v_mdr"]) == (0, 0, 2)
    blank = means(run(name, tmp_path, Blank(), **LAYOUTS[name]))
    assert (blank["t2v_r1"], blank["v2t_r1"]) == (0, 0)
    assert (blank["t2v_tied"], blank["v2t_tied"]) == (1, 1)


def test_clips_of_lsmdc_may_lie_in_a_folder_a_film(tmp_path):
    clip = "1004_Juno_00.00.32.161-00.00.33.953"
    put(tmp_path, [f"1004_Juno/{clip}.avi"])
    found = run("lsmdc", tmp_path, Seer(), captions=f"{clip}\t0\t1\t0\t1\tSomeone walks.\nx\ty\n")
    assert found.values["t2v_r1"].videos == (clip,)
    assert found.left_out.rows == {"type": 1}


VATEX = [
    {"videoID": "a", "enCap": ["one", "two", "three"]},
    {"videoID": "b", "enCap": ["four", "five"]},
    {"videoID": "c", "enCap": ["six"]},
]


def test_several_captions_each_ask_and_any_is_right(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4", "c.mp4"])
    labels = {"one": "a", **dict.fromkeys(["two", "three", "four", "five", "six"], "b")}
    found = run("vatex", tmp_path, Seer(labels), captions=VATEX)
    figures = means(found)
    assert figures["t2v_r1"] == round(3 / 6, 4)  # one, four, five
    assert figures["v2t_r1"] == round(1 / 3, 4)  # a by "one"; b and c tie with "two"
    assert figures["v2t_each_r1"] == round(
        1 / 6, 4
    )  # "one" alone is above all that are not of its video
    assert found.values["t2v_r1"].queries == ("a#0", "a#1", "a#2", "b#0", "b#1", "c#0")
    assert found.values["t2v_r1"].videos == ("a", "a", "a", "b", "b", "c")
    assert set(found.values["v2t_each_r1"].queries) == set(found.values["t2v_r1"].queries)
    assert found.values["t2v_r1"].values_Q.tolist() == [1, 0, 0, 1, 1, 0]


def test_what_is_left_out_is_named_and_counted(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4", "c.MP4"])
    rows = [
        *VATEX,
        {"videoID": "absent", "enCap": ["x", "y"]},
        {"videoID": "a", "enCap": ["one"]},
        {"videoID": "b", "enCap": [7, "  ", "one"]},
        {"videoID": "../b", "enCap": ["out"]},
        "broken",
    ]
    found = run("vatex", tmp_path, Seer(broken=["c"]), captions=rows)
    left = found.left_out
    assert left.rows == {"video": 2, "duplicate": 1, "type": 2, "text": 1, "name": 1}
    assert list(left.absent) == ["absent"] and "absent is not in" in left.absent["absent"]
    assert left.failed == {"c": "c.MP4 has no frames"}
    assert left.queries == 3, "two texts of the absent video, one of the failed one"
    assert any(text == "entry 4: a has this caption already: remove one" for text in left.examples)
    assert found.values["t2v_r1"].queries == ("a#0", "a#1", "a#2", "b#0", "b#1", "b#2")
    assert found.protocol["texts_said_again"] == 1, "two videos have the caption `one`"
    assert found.protocol["gallery_videos"] == 2


def test_an_empty_gallery_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"no video has a caption: 1 left out \(1 video\)"):
        run("vatex", put(tmp_path, []), Seer(), captions=[{"videoID": "a", "enCap": ["x"]}])
    with pytest.raises(UsageError, match="no video has a caption: none left out"):
        run("vatex", tmp_path, Seer(), captions=[])
    put(tmp_path, ["a.mp4"])
    with pytest.raises(UsageError, match=r"not one of 1 videos can be read: a\.mp4 has no frames"):
        run("vatex", tmp_path, Seer(broken="a"), captions=[{"videoID": "a", "enCap": ["x"]}])


def test_vectors_that_are_not_finite_stop_the_task(tmp_path):
    class Broken(Seer):
        def _of(self, name):
            return super()._of(name) * (np.nan if name == "two" else 1)

    put(tmp_path, ["a.mp4", "b.mp4", "c.mp4"])
    with pytest.raises(UsageError, match="NaN or infinite"):
        run("vatex", tmp_path, Broken(), captions=VATEX)


def test_absent_files_are_named_with_what_to_put_where(tmp_path):
    with pytest.raises(UsageError, match=r"msvd needs .*AllVideoDescriptions.txt \(captions\), .*"):
        run_benchmark("msvd", tmp_path, Seer())
    with pytest.raises(UsageError, match="benchmark 'msr': choose msr-vtt, "):
        run_benchmark("msr", tmp_path, Seer())
    with pytest.raises(UsageError, match="msr-vtt has no file 'ids': give captions, videos"):
        run_benchmark("msr-vtt", tmp_path, Seer(), files={"ids": tmp_path})


def test_files_may_have_other_names(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4", "c.mp4"], other=VATEX)
    found = run_benchmark("vatex", tmp_path, Seer(), files={"captions": tmp_path / "other"})
    assert found.protocol["gallery_texts"] == 6


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("content", ["[[[", "7", '{"a": 1}', ""])
def test_a_file_of_another_layout_is_refused(tmp_path, name, content):
    put(tmp_path, ["a.mp4"])
    files = dict.fromkeys(LAYOUTS[name], content)
    with pytest.raises(UsageError, match=r"no JSON|is no object|no column|no video|not a list"):
        run(name, tmp_path, Seer(), **files)


def test_equal_texts_are_encoded_once_and_films_one_by_one(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4"])
    model = Seer()
    encoder = Encoder(model)
    found_ND = encoder.texts(["x", "y", "x"])
    assert model.asked == ["x", "y"] and np.array_equal(found_ND[0], found_ND[2])
    films = Films(tmp_path / "videos", tmp_path / "rows.csv")
    encoded = encoder.films([films.find("a"), films.find("b"), films.find("a")])
    assert encoded.places == (0, 1, 2) and encoded.row_of() == {0: 0, 1: 1, 2: 2}
    assert np.array_equal(encoded.vectors_ND[0], encoded.vectors_ND[2])


class Hub(Seer):
    """The third video is nearer to all captions than their own, and nearest to its own caption."""

    def _of(self, name):
        scores = {"one": (0.5, 0.3, 0.6), "four": (0.3, 0.5, 0.6), "six": (0.1, 0.1, 0.62)}
        if name not in scores:
            return np.eye(6, dtype=np.float32)["abc".index(name)]
        row_D = np.zeros(6, np.float32)
        row_D[:3] = scores[name]
        row_D[3 + list(scores).index(name)] = np.sqrt(1 - np.sum(row_D**2))
        return row_D


def test_dual_softmax_takes_a_hub_out_of_the_way_and_only_where_it_is_asked_for(tmp_path):
    put(tmp_path, ["a.mp4", "b.mp4", "c.mp4"])
    entries = [{**each, "enCap": each["enCap"][:1]} for each in VATEX]
    plain = means(run("vatex", tmp_path, Hub(), captions=entries))
    assert (plain["t2v_r1"], plain["v2t_r1"]) == (round(1 / 3, 4), 1)
    dual = run_benchmark("vatex", tmp_path, Hub(), options=Options(dual_softmax=True))
    assert (means(dual)["t2v_r1"], means(dual)["v2t_r1"]) == (1, 1)


def test_the_page_has_every_benchmark_with_the_roles_of_its_files():
    page = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text()
    rows = [line for line in page.split("## ")[0].splitlines() if line.startswith("| `")]
    told = {name: row for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert told.keys() == BENCHMARKS.keys()
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.source, name
        for role in benchmark.files.keys() - {"videos"}:
            assert f"`{role}`" in told[name], f"{name} has {role}"


def test_a_real_embedder_takes_the_whole_way(tmp_path):
    (tmp_path / "videos").mkdir()
    for name, rgb in COLOURS.items():
        frames_FHWC = np.full((16, 32, 32, 3), rgb, np.uint8)
        write_video(tmp_path / "videos" / f"{name}.mp4", frames_FHWC, fps=8)
    (tmp_path / "videos" / "hollow.mp4").write_bytes(b"x")
    text = "key,vid_key,video_id,sentence\nr0,m0,red,red\nr1,m1,blue,blue\n"
    put(tmp_path, [], **{"MSRVTT_JSFUSION_test.csv": text + "r2,m2,gone,red\nr3,m3,hollow,blue\n"})
    found = run_benchmark("msr-vtt", tmp_path, Embedder(Colours(), sampling=Seer.sampling))
    assert found.values["t2v_r1"].values_Q.tolist() == [1, 1]
    assert list(found.left_out.absent) == ["gone"] and list(found.left_out.failed) == ["hollow"]
