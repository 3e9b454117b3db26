"""Training files of public benchmarks, in their layouts, each with something wrong in it."""

import csv
import json
from pathlib import Path

import pytest

from kinoscope.errors import UsageError
from kinoscope.training.sources.benchmarks import BENCHMARKS, read_benchmark
from kinoscope.training.sources.protocol import Edit, Moment
from kinoscope.types import Span
from tests.training.sources.films import SAMPLING, film

SHARED = Path(__file__).parents[4] / "shared" / "data"


@pytest.fixture
def read(tmp_path):
    """Writes annotations and empty files for videos; reads them."""

    def make(name, file, content, videos, **options):
        path = tmp_path / file
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        for video in videos:
            place = tmp_path / "videos" / video
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(b"x")
        return read_benchmark(name, path, tmp_path / "videos", **options)

    return make


def keys(source):
    return [source.key(n) for n in range(len(source))]


MSR_VTT = {
    "videos": [
        {"video_id": "video0", "split": "train"},
        {"video_id": "video1", "split": "test"},
        {"video_id": "video2", "split": "train"},
        {"video_id": "video3", "split": "train"},
    ],
    "sentences": [
        {"video_id": "video2", "caption": "a car", "sen_id": 0},
        {"video_id": "video0", "caption": "a man", "sen_id": 1},
        {"video_id": "video1", "caption": "of the test", "sen_id": 2},
        {"video_id": "video2", "caption": "the car", "sen_id": 3},
        {"video_id": "video0", "caption": "  "},
        {"video_id": "video3", "caption": "no file"},
        {"video_id": 7, "caption": "x"},
        ["broken"],
    ],
}


def test_msr_vtt_reads_its_training_split_alone(read):
    source = read(
        "MSR-VTT", "MSRVTT_data.json", MSR_VTT, ["video0.mp4", "video1.mp4", "video2.webm"]
    )
    assert keys(source) == ["video2.webm", "video0.mp4"]
    assert source.example(0).captions == ("a car", "the car")
    assert source.problems.counts == {"text": 1, "video": 1, "type": 2}
    assert "MSR-VTT" in source.overlaps


def test_a_list_of_ids_replaces_the_split(read, tmp_path):
    (tmp_path / "MSRVTT_train.9k.csv").write_text("video_id\nvideo1\n")
    ids = tmp_path / "MSRVTT_train.9k.csv"
    source = read("MSR-VTT", "m.json", MSR_VTT, ["video0.mp4", "video1.mp4"], ids=ids)
    assert keys(source) == ["video1.mp4"]
    other = read("MSR-VTT", "m.json", MSR_VTT, ["video0.mp4", "video2.mp4"])
    assert other.fingerprint != source.fingerprint


def test_msvd_reads_lines_of_its_training_ids(read, tmp_path):
    (tmp_path / "train_list.txt").write_text("mv89psg6zh4_33_46\n_x-1_0_5\n")
    text = "# remark\n\nmv89psg6zh4_33_46 A bird is bathing.\ntest_1_2 no\n"
    text += "_x-1_0_5 Ein Mann.\n_x-1_0_5\n"
    ids = tmp_path / "train_list.txt"
    videos = ["mv89psg6zh4_33_46.avi", "_x-1_0_5.avi", "test_1_2.avi"]
    source = read("MSVD", "AllVideoDescriptions.txt", text, videos, ids=ids)
    assert keys(source) == ["mv89psg6zh4_33_46.avi", "_x-1_0_5.avi"]
    assert source.example(0).captions == ("A bird is bathing.",)
    assert source.problems.counts == {"text": 1}
    with pytest.raises(UsageError, match="list of training ids"):
        read("MSVD", "AllVideoDescriptions.txt", text, videos)


def test_vatex_reads_english_captions(read):
    entry = {"videoID": "Ptf_2VRj-V0_000122_000132", "enCap": ["one", "two", 3], "chCap": ["一"]}
    content = [entry, {"videoID": "absent", "enCap": ["x"]}]
    source = read("VATEX", "vatex_training_v1.0.json", content, ["Ptf_2VRj-V0_000122_000132.mp4"])
    assert source.example(0).captions == ("one", "two")
    assert source.problems.counts == {"type": 1, "video": 1}


def test_didemo_reads_the_segments_that_most_people_chose(read):
    name = "10015567@N08_3655084291_d8b58466fa"
    entries = [
        {"video": f"{name}.mov", "description": "then a dog", "times": [[2, 3], [0, 0], [2, 3]]},
        {"video": f"{name}.mov", "description": "first a cat", "times": [[0, 0], [1, 1]]},
        {"video": f"{name}.mov", "description": "when?", "times": []},
        {"video": f"{name}.mov", "description": "backwards", "times": [[4, 2]]},
    ]
    source = read("DiDeMo", "train_data.json", entries, [f"{name}.mov"])
    known = source.example(0)
    assert known.moments == (
        Moment("then a dog", Span(10.0, 20.0)),
        Moment("first a cat", Span(0.0, 5.0)),
    )
    assert known.details == ("first a cat then a dog",), "in order of time"
    assert source.problems.counts == {"type": 1, "span": 1}


def test_activitynet_reads_moments_and_their_paragraph(read):
    content = {
        "v_QOlSCBRmfWY": {
            "duration": 82.73,
            "timestamps": [[0.83, 19.86], [17.37, 83.0], [60, 50], [90, 99]],
            "sentences": [" A woman talks. ", "She dances.", "Never.", "Beyond."],
        },
        "v_broken": {"duration": 5, "timestamps": [[0, 1]], "sentences": []},
        "v_absent": {"duration": 5, "timestamps": [[0, 1]], "sentences": ["x"]},
        "v_list": [1],
    }
    videos = ["v_QOlSCBRmfWY.mp4", "v_broken.mkv", "v_list.mp4"]
    source = read("ActivityNet-Captions", "train.json", content, videos)
    known = source.example(0)
    assert known.duration_s == 82.73
    assert known.details == ("A woman talks. She dances.",)
    assert known.moments[1] == Moment("She dances.", Span(17.37, 82.73))
    assert source.problems.counts == {"span": 2, "type": 2, "video": 1}


def test_charades_sta_reads_lines_with_spans(read):
    text = (
        "AO8RW 0.0 6.9##a person puts a book on a shelf.\n"
        "AO8RW 5.0 9.1##the person leaves ## slowly.\n"
        "AO8RW 5.0 nan##x\nAO8RW 9.0 3.0##x\nAO8RW 1.0##x\n../x 0 1##x\n"
    )
    source = read("Charades-STA", "charades_sta_train.txt", text, ["AO8RW.mp4"])
    assert [m.text for m in source.example(0).moments] == [
        "a person puts a book on a shelf.",
        "the person leaves ## slowly.",
    ]
    assert source.problems.counts == {"number": 1, "span": 1, "type": 1, "name": 1}


def test_qvhighlights_gives_each_window_of_a_query(read):
    line = {
        "qid": 1, "query": "dancing", "vid": "a_0.0_150.0", "duration": 150,
        "relevant_windows": [[0, 4], [148, 150]],
    }  # fmt: skip
    late = {**line, "query": "late", "relevant_windows": [[160, 170]]}
    text = "\n".join(
        map(json.dumps, [line, late, {**line, "query": "none", "relevant_windows": []}])
    )
    source = read("QVHighlights", "highlight_train_release.jsonl", text, ["a_0.0_150.0.mp4"])
    assert source.example(0).moments == (
        Moment("dancing", Span(0.0, 4.0)),
        Moment("dancing", Span(148.0, 150.0)),
    )
    assert source.problems.counts == {"span": 1, "type": 1}


def test_covr_edits_lead_from_one_video_to_another(read):
    text = (
        "txt1,txt2,pth1,pth2,edit,scores\n"
        "a red car,a blue car,1/11,2/22,make it blue,1\n"
        "a red car,a green car,1/11,3/33,make it green,1\n"
        "a blue car,a red car,2/22,1/11,make it red,1\n"
        "a,b,1/11,9/99,gone,1\n"
        "a red car,a blue car,1/11,2/22,make it blue,1\n"
    )
    videos = ["1/11.mp4", "2/22.mp4", "3/33.mp4"]
    source = read("WebVid-CoVR", "webvid8m-covr_train.csv", text, videos)
    assert keys(source) == videos
    first = source.example(0)
    assert first.captions == ("a red car",)
    assert first.edits == (
        Edit("make it blue", "2/22.mp4", "a red car", "a blue car"),
        Edit("make it green", "3/33.mp4", "a red car", "a green car"),
    )
    assert first.told_edits == first.edits
    (back,) = source.example(source.number_of("2/22.mp4")).edits
    assert back == Edit("make it red", "1/11.mp4", "a blue car", "a red car")
    assert source.problems.counts == {"video": 1, "duplicate": 1}
    with pytest.raises(UsageError, match="line 5"):
        read("WebVid-CoVR", "webvid8m-covr_train.csv", text, videos, strict=True)


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_file_of_another_layout_is_refused(read, tmp_path, name):
    (tmp_path / "ids.txt").write_text("a\n")
    for content in ("[[[", "7", '{"a": 1}', "", "[1, 2]"):
        with pytest.raises(UsageError, match=r"no JSON|is no|no column|no video|not a list"):
            read(name, "wrong.json", content, ["a.mp4"], ids=tmp_path / "ids.txt")


def test_pickles_are_not_opened(read):
    with pytest.raises(UsageError, match="may contain code"):
        read("MSVD", "raw-captions.pkl", "x", ["a.mp4"])
    with pytest.raises(UsageError, match="choose MSR-VTT"):
        read("MSR", "x.json", "x", ["a.mp4"])


def test_videos_of_a_benchmark_decode(read, tmp_path):
    film(tmp_path / "videos" / "AO8RW.mp4")
    source = read("Charades-STA", "train.txt", "AO8RW 1.0 3.0##it moves\n", [])
    (moment,) = source.example(0).moments
    found = source.frames(0, SAMPLING, moment.span)
    assert 1.0 <= found.times_F[0] <= found.times_F[-1] < 3.0


@pytest.mark.parametrize(
    ("name", "file", "count"),
    [
        ("QVHighlights", "qvhighlights/highlight_val_release.jsonl", 2803),
        ("Charades-STA", "charades_sta/charades_test_release.jsonl", 3720),
    ],
)
def test_published_annotations_are_read_whole(tmp_path, name, file, count):
    path = SHARED / file
    if not path.exists():
        pytest.skip(f"{path} is not there")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for row in rows:
        (tmp_path / f"{row['vid']}.mp4").touch()
    source = read_benchmark(name, path, tmp_path)
    found = [m for n in range(len(source)) for m in source.example(n).moments]
    repeated = count - len(
        {(r["vid"], r["query"].strip(), *w) for r in rows for w in r["relevant_windows"]}
    )
    assert len(found) == count - repeated
    assert set(source.problems.counts) <= {"duplicate"}


def test_a_csv_of_edits_keeps_quotes(read, tmp_path):
    place = tmp_path / "covr.csv"
    with place.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["txt1", "txt2", "pth1", "pth2", "edit"])
        writer.writerow(["a", "b", "1", "2", 'say "now",\nthen go'])
    source = read("WebVid-CoVR", "covr.csv", place.read_text(), ["1.mp4", "2.mp4"])
    assert source.example(0).edits[0].text == 'say "now",\nthen go'
