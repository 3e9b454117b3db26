"""Caption files: what they say is read; what is unfit is left out, told and counted."""

import json
import math
import pickle

import numpy as np
import pytest

from kinoscope.clips import around, read_clip
from kinoscope.errors import MediaError, UsageError
from kinoscope.sampling import SamplingConfig, Window, cut_clips, grid_times
from kinoscope.training.sources import read_captions
from kinoscope.training.sources.protocol import Mismatch, Moment, Question
from kinoscope.types import Span
from kinoscope.video import VideoReader
from tests.training.sources.films import SAMPLING, film


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    for n, name in enumerate(("a.mp4", "b.mp4", "deep/c.mp4", "Ünï ☃.mp4")):
        film(folder / name, n)
    return folder


@pytest.fixture
def csv_of(tmp_path, videos):
    def read(content, **options):
        path = tmp_path / "captions.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_captions(path, videos, overlaps=(), **options)

    return read


@pytest.fixture
def jsonl_of(tmp_path, videos):
    def read(*lines, **options):
        path = tmp_path / "captions.jsonl"
        told = [line if isinstance(line, str) else json.dumps(line) for line in lines]
        path.write_text("\n".join(told))
        return read_captions(path, videos, overlaps=("MSVD",), **options)

    return read


def test_rows_of_one_video_add_up_in_the_order_of_the_file(csv_of):
    source = csv_of(
        "\ufeffvideo,caption,moment,start_s,end_s,question,answer,wrong,why\r\n"
        'b.mp4,"A square, moving\nright",,,,,,,\r\n'
        "a,a dot,,,,,,,\r\n"
        "b.mp4,,it starts,0,1.5,,,,\r\n"
        "b.mp4,one square,,,,what?,a square,two squares,count\r\n"
        "Ünï ☃.mp4,snow,,,,,,,\r\n"
    )
    assert [source.key(n) for n in range(len(source))] == ["b.mp4", "a.mp4", "Ünï ☃.mp4"]
    assert not len(source.problems)
    first = source.example(0)
    assert first.captions == ("A square, moving\nright", "one square")
    assert first.moments == (Moment("it starts", Span(0.0, 1.5)),)
    assert first.questions == (Question("what?", "a square"),)
    assert first.mismatches == (Mismatch("two squares", "one square", "count"),)
    assert source.number_of("a.mp4") == 1
    assert len(source.frames(1, SAMPLING)) == 4


def test_all_fields_of_a_jsonl_are_read(jsonl_of):
    source = jsonl_of(
        {
            "key": "one",
            "video": "deep/c",
            "caption": ["short", "brief"],
            "detail": "long and wide",
            "duration_s": 4,
            "moments": [{"text": "start", "start_s": 0, "end_s": 4.5}],
            "questions": [{"question": "q?", "answer": "y", "options": ["x", "y"]}],
            "mismatches": [{"wrong": "no", "why": "color"}],
        },
        {"key": "two", "video": "deep/c.mp4", "caption": "again"},
    )
    assert source.overlaps == ("MSVD",)
    one, two = source.example(0), source.example(1)
    assert (one.key, two.key) == ("one", "two")
    assert one.details == ("long and wide",)
    assert one.moments == (Moment("start", Span(0.0, 4.0)),), "rounded ends are cut off"
    assert one.questions == (Question("q?", "y", ("x", "y")),)
    assert one.mismatches == (Mismatch("no", "short", "color"),)
    again = pickle.loads(pickle.dumps(source))
    assert again.example(0) == one
    assert again.identity(0) == source.identity(0)


GOOD = "a.mp4,fine,0"
BAD_ROWS = {
    "gone.mp4,x,1": "video",
    "/etc/passwd,x,1": "name",
    "../films/a.mp4,x,1": "name",
    "deep/../a.mp4,x,1": "name",
    "a\\b.mp4,x,1": "name",
    f"{'n' * 5000}.mp4,x,1": "name",
    "b.mp4,   ,1": "text",
    "b.mp4,,1": "text",
    ",x,1": "text",
    "b.mp4,x,": "text",
    "b.mp4,x,0": "duplicate",
    "b.mp4,x": "type",
    "b.mp4,x,1,more": "type",
    f"b.mp4,{'x' * 70_000},1": "size",
    f"b.mp4,{'x' * 200_000},1": "size",
    f"b.mp4,{'x' * 5_000_000},1": "size",
}


@pytest.mark.parametrize("row", BAD_ROWS, ids=lambda row: row[:16])
def test_a_bad_row_of_a_csv_is_left_out_with_its_line_or_raised(csv_of, row):
    text = f"video,caption,key\n{GOOD}\n{row}\ndeep/c.mp4,fine too,2\n"
    source = csv_of(text)
    assert [source.key(n) for n in range(len(source))] == ["0", "2"]
    (problem,) = source.problems
    assert (problem.kind, problem.where) == (BAD_ROWS[row], "line 3")
    assert source.problems.counts == {BAD_ROWS[row]: 1}
    with pytest.raises(UsageError, match=r"captions\.csv, line 3: "):
        csv_of(text, strict=True)


def test_bytes_that_are_not_utf_8_cost_their_row_alone(csv_of):
    source = csv_of(b"video,caption\na.mp4,caf\xe9\nb.mp4,caf\xc3\xa9\n")
    assert [source.example(n).captions for n in range(len(source))] == [("café",)]
    assert source.problems.counts == {"encoding": 1}


MOMENT = "video,moment,start_s,end_s,duration_s\n"


@pytest.mark.parametrize(
    ("times", "kind"),
    [
        ("nan,1,4", "number"),
        ("0,inf,4", "number"),
        ("-1,1,4", "number"),
        ("0,1e300,", "number"),
        ("0,one,4", "type"),
        ("2,1,4", "span"),
        ("1,1,4", "span"),
        ("4,5,4", "span"),
        ("1,9,4", "span"),
        ("0,1,nan", "number"),
        ("0,1,0", "number"),
        ("0,,4", "type"),
    ],
)
def test_a_moment_outside_time_is_left_out(csv_of, times, kind):
    source = csv_of(f"{MOMENT}a.mp4,starts,{times}\nb.mp4,fine,0,4,4\n")
    assert (source.problems.counts, len(source)) == ({kind: 1}, 1)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("a.mp4,a dot\nb.mp4,a square\n", "no column 'video'"),
        ("", "no column 'video'"),
        ("video,caption,caption\na.mp4,x,y\n", "'caption' twice"),
        ("video,caption\n", "no video to learn from"),
        ("video,caption\ngone.mp4,x\n", r"1 video\); line 2: gone.mp4 is not in"),
    ],
)
def test_a_csv_that_cannot_be_read_is_refused(csv_of, content, complaint):
    with pytest.raises(UsageError, match=complaint):
        csv_of(content)


def test_unknown_columns_are_told_and_passed_over(csv_of):
    text = "video,caption,licence\na.mp4,x,CC0\n"
    source = csv_of(text)
    assert [p.message for p in source.problems] == ["the column 'licence' is unknown: passed over"]
    assert source.example(0).captions == ("x",)
    with pytest.raises(UsageError, match="'licence' is unknown"):
        csv_of(text, strict=True)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("[1, 2]", "type"),
        ("7", "type"),
        ("{broken", "type"),
        ("[" * 200_000, "type"),
        ('{"video": "b.mp4"}', "text"),
        ({"video": 7, "caption": "x"}, "type"),
        ({"caption": "x"}, "type"),
        ({"video": "b.mp4", "caption": {"en": "x"}}, "type"),
        ({"video": "b.mp4", "caption": ["x", 3]}, "type"),
        ({"video": "b.mp4", "caption": ["x", ""]}, "text"),
        ({"video": "b.mp4", "caption": "x", "key": ["k"]}, "type"),
        ({"video": "b.mp4", "caption": "x", "duration_s": True}, "type"),
        ('{"video": "b.mp4", "caption": "x", "duration_s": NaN}', "number"),
        ('{"video": "b.mp4", "caption": "x", "duration_s": 1' + "0" * 5000 + "}", "type"),
        ('{"video": "b.mp4", "caption": "\\ud800"}', "encoding"),
        ('{"video": "b\\u0000.mp4", "caption": "x"}', "name"),
        ({"video": "b.mp4", "caption": "x", "moments": [{"text": "x", "start_s": 0}]}, "type"),
        ({"video": "b.mp4", "caption": "x", "moments": {"text": "x"}}, "type"),
        (
            {"video": "b.mp4", "questions": [{"question": "q", "answer": "z", "options": ["x"]}],
             "caption": "x"}, "type",
        ),
        ({"video": "b.mp4", "caption": "x", "colour": "red"}, "field"),
        ({"video": "a.mp4", "caption": "fine"}, "duplicate"),
    ],
)  # fmt: skip
def test_a_bad_line_of_a_jsonl_is_told(jsonl_of, line, kind):
    good = {"video": "a.mp4", "caption": "fine"}
    source = jsonl_of(good, line)
    counts = dict(source.problems.counts)
    nothing_left = counts.pop("text", 0) if kind != "text" else 0
    assert set(counts) == {kind}
    assert nothing_left <= 1
    assert source.example(0).captions == ("fine",)
    with pytest.raises(UsageError, match="line 2"):
        jsonl_of(good, line, strict=True)


def test_a_link_out_of_the_folder_is_refused_also_when_it_appears_later(tmp_path):
    outside = film(tmp_path / "secret.mp4")
    videos = tmp_path / "films"
    film(videos / "a.mp4")
    (videos / "b.mp4").symlink_to(outside)
    (videos / "far").symlink_to(tmp_path)
    (videos / "near.mp4").symlink_to(videos / "a.mp4")
    file = tmp_path / "c.csv"
    file.write_text("video,caption\na.mp4,x\nb.mp4,y\nfar/secret.mp4,z\nnear.mp4,fine\n")
    source = read_captions(file, videos, overlaps=())
    assert source.problems.counts == {"name": 2}
    assert len(source) == 2
    (videos / "a.mp4").unlink()
    (videos / "a.mp4").symlink_to(outside)
    with pytest.raises(MediaError, match="a link out of"):
        source.frames(0, SAMPLING)


def test_a_million_bad_lines_are_counted_and_a_thousand_kept(jsonl_of):
    source = jsonl_of({"video": "a.mp4", "caption": "x"}, *["{"] * 5000)
    assert len(source.problems) == 5000
    assert len(list(source.problems)) == 1000


def test_the_fingerprint_is_of_the_annotations(jsonl_of):
    one = jsonl_of({"video": "a.mp4", "caption": "x"})
    other = jsonl_of({"video": "a.mp4", "caption": "y"})
    assert one.fingerprint != other.fingerprint
    assert one.identity(0) == other.identity(0), "the pixels are the same"


def test_other_files_and_folders_are_refused(tmp_path, videos):
    (tmp_path / "c.csv").write_text("video,caption\na.mp4,x\n")
    with pytest.raises(UsageError, match=r"neither \.csv nor \.jsonl"):
        read_captions(tmp_path / "c.pkl", videos, overlaps=())
    with pytest.raises(UsageError, match="is no file"):
        read_captions(tmp_path / "absent.csv", videos, overlaps=())
    with pytest.raises(UsageError, match="is no folder"):
        read_captions(tmp_path / "c.csv", tmp_path / "absent", overlaps=())


@pytest.mark.parametrize("clip_frames", [1, 3, 8, None])
@pytest.mark.parametrize("fps", [0.7, 2.0, 11.0])
def test_frames_are_those_that_an_index_reads(videos, fps, clip_frames):
    """The naive twin decodes all, then cuts."""
    windows = (Window(length_s=1.5, stride_s=0.5), Window(length_s=0.25, stride_s=0.25))
    sampling = SamplingConfig(fps=fps, side_px=32, windows=windows, clip_frames=clip_frames)
    path = videos / "deep" / "c.mp4"
    with VideoReader(path, side_px=32) as reader:
        parts = list(reader.sample(grid_times(sampling, reader.info.declared_duration_s)))
        end_s = reader.report.end_s
    times_F = np.concatenate([part.times_F for part in parts])
    rgb_FHWC = np.concatenate([part.rgb_FHWC for part in parts])
    for clip in cut_clips(sampling, end_s, times_F):
        span = None if clip.scale == "whole" else clip.span
        found = read_clip(path, sampling, span)
        assert found.times_F.tolist() == times_F[list(clip.indices)].tolist(), clip
        assert (found.rgb_FHWC == rgb_FHWC[list(clip.indices)]).all()


def test_a_span_behind_the_end_is_a_fault_of_the_annotation(jsonl_of):
    source = jsonl_of({"video": "a.mp4", "caption": "x"})
    with pytest.raises(MediaError, match=r"ends at 4\.000 s, before the span"):
        source.frames(0, SAMPLING, Span(4.0, 5.0))
    assert len(source.frames(0, SAMPLING, Span(3.9, 5.0))) == 1


def test_a_long_span_is_read_in_bounded_memory_by_few_frames(videos):
    sampling = SamplingConfig(fps=30.0, side_px=16, windows=(), clip_frames=2)
    found = read_clip(videos / "a.mp4", sampling, Span(0.0, math.nextafter(4.0, 5.0)))
    assert len(found) == 2
    assert found.times_F[0] == 0.0
    assert found.times_F[1] > 3.8


def test_instants_around_a_span_are_few():
    assert list(around(iter([0.5, 1.5, 2.5, 3.5, 4.5]), Span(2.0, 3.0))) == [1.5, 2.5, 3.5]
    assert list(around(iter([0.5, 1.5]), Span(0.0, 0.2))) == [0.5]
