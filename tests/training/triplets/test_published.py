"""Published triplet files: what is fit is read, what is not is told with its line, and counted."""

import json
import re

import pytest

from kinoscope.errors import UsageError
from kinoscope.training.triplets import (
    PARTS,
    GeneratedTriplets,
    Triplet,
    read_covr,
    read_triplets,
    write_triplets,
)
from kinoscope.training.triplets.published import MOST_CHARS

HEADER = "sent0,sent1,hard_neg\n"


@pytest.fixture
def csv_of(tmp_path):
    def read(content, **options):
        path = tmp_path / "nli.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return read_triplets(path, overlaps=("NegBench",), **options)

    return read


def all_of(source):
    return [triplet for part in PARTS for triplet in source.of(part, 10**6)]


def test_a_file_of_simcse_gives_core_and_negation(csv_of) -> None:
    source = csv_of(
        HEADER
        + '"A man in a blue shirt, seen from behind, washes a car.","A man washes a car.",'
        + "A man sleeps in a car.\n"
        + "Two dogs play in the snow.,Some animals are outside.,No dogs are outside.\n"
        + "A girl isn't alone.,A girl has company.,A girl has no company.\n"
    )
    assert (source.name, source.overlaps) == ("nli", ("NegBench",))
    assert not len(source.problems)
    [one] = source.of("negation", 10)
    assert one == Triplet(
        anchor="Two dogs play in the snow.",
        positive="Some animals are outside.",
        negative="No dogs are outside.",
        part="negation",
        why="negation: no",
    )
    assert len(source.of("core", 10)) == 2  # the last one's anchor has a negator of its own
    assert source.of("order", 10) == []


def test_a_file_of_tara_gives_time_and_composed_too(csv_of) -> None:
    source = csv_of(
        HEADER
        + "A person picks up a cup.,The person lifts up the cup.,A person puts down a cup.\n"
        + "Source: a dog on a beach; Edit: make it a cat,a cat on a beach,a dog on a beach\n"
        + "Source caption: Red car Edit instruction: as a drawing,drawn car,Red car\n"
    )
    assert not len(source.problems), source.problems.describe()
    [time] = source.of("time", 10)
    assert time.why == "opposite action"
    composed = {one.anchor: one for one in source.of("composed", 10)}
    assert composed["a dog on a beach"].edit == "make it a cat"
    assert composed["Red car"].edit == "as a drawing"


def test_malformed_rows_are_told_with_line_and_reason_and_counted(csv_of) -> None:
    long = "word " * MOST_CHARS
    source = csv_of(
        (
            HEADER
            + "A cat sleeps.,A cat rests.,A cat runs.\n"  # 2
            + "A cat sleeps.,A cat rests.\n"  # 3
            + "A cat sleeps.,,A cat runs.\n"  # 4
            + "A cat sleeps.,A cat  SLEEPS.,A cat runs.\n"  # 5
            + "A cat sleeps.,A cat rests.,A cat rests.\n"  # 6
            + f"A cat sleeps.,{long},A cat runs.\n"  # 7
            + "A cat sleeps.,A cat rests.,A cat runs.\n"  # 8: line 2 again
            + "A man walks in.,**A man** walks in.,A man walks out.\n"  # 9
            + "A boy opens a box.,A boy closes a box.,A boy eats.\n"  # 10
            + "A dog barks.,A dog makes noise.,A dog is silent.\n"
        ).encode()
        + b"A \xff cat.,A cat rests.,A cat runs.\n"  # 12
    )
    assert {one.anchor for one in all_of(source)} == {"A cat sleeps.", "A dog barks."}
    assert source.problems.counts == {
        **{"type": 1, "text": 1, "same": 2, "size": 1, "duplicate": 1},
        **{"markup": 1, "flipped": 1, "encoding": 1},
    }
    told = {problem.where: problem.message for problem in source.problems}
    assert sorted(told) == sorted(f"line {n}" for n in (3, 4, 5, 6, 7, 8, 9, 10, 12))
    assert told["line 3"] == "2 fields, the header has 3: mend the quoting"
    assert told["line 4"] == "the positive is empty: fill it in or remove it"
    assert "the positive is the anchor" in told["line 5"]
    assert f"give at most {MOST_CHARS}" in told["line 7"]
    assert "the positive goes the other way" in told["line 10"]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("A cat sleeps.,A cat rests.\n", "nli.csv, line 2: 2 fields"),
        ("A cat sleeps.,,A cat runs.\n", "nli.csv, line 2: the positive is empty"),
        ("A <b>cat</b> sits.,A cat rests.,A cat runs.\n", "holds mark-up"),
    ],
)
def test_strict_raises_at_the_first(csv_of, row, complaint) -> None:
    with pytest.raises(UsageError, match=re.escape(complaint)):
        csv_of(HEADER + row, strict=True)


def test_a_file_of_which_nothing_is_left_says_why(csv_of) -> None:
    with pytest.raises(UsageError, match="no triplet that can be used: 1 left out"):
        csv_of(HEADER + "A cat sleeps.,,A cat runs.\n")
    with pytest.raises(UsageError, match="no column 'sent0'"):
        csv_of("premise,hypothesis\na,b\n")


def test_hostile_sizes_are_bounded(csv_of) -> None:
    huge = "x" * (2**22 + 10)
    source = csv_of(f"{HEADER}{huge},b,c\nA cat sleeps.,A cat rests.,A cat runs.\n")
    assert len(all_of(source)) == 1
    assert source.problems.counts == {"size": 1}
    for hostile in ("source:" + " " * 4000, "source: a; edit: " * 5000, "source:" + ";" * 2900):
        assert len(all_of(csv_of(f"{HEADER}{hostile},b,c\nA cat sits.,A cat rests.,A cat runs.\n")))
    nested = "<" * 900 + "source: " * 100
    assert csv_of(f"{HEADER}{nested},b,c\nA cat sleeps.,A cat rests.,A cat runs.\n")


def test_part_and_edit_must_agree(tmp_path) -> None:
    path = tmp_path / "mine.jsonl"
    base = {"anchor": "A dog.", "positive": "A cat.", "negative": "A dog."}
    lines = [
        {**base, "edit": "make it a cat"},
        {**base, "edit": "make it a cat", "part": "core"},
        {**base, "part": "composed"},
        {**base, "part": "colour", "edit": "make it a cat"},
        {**base, "edit": 3},
        {**base, "edit": "make it a dog", "positive": "a dog."},
    ]
    path.write_text("\n".join([*map(json.dumps, lines), "[]", "no JSON"]))
    source = read_triplets(path, overlaps=())
    assert len(all_of(source)) == 1
    told = [problem.message for problem in source.problems]
    assert "part core with edit" in told[0]
    assert "part composed with edit ''" in told[1]
    assert "part 'colour': choose core, time" in told[2]
    assert "the edit is of type int" in told[3]
    assert told[4].startswith(("the positive is the negative", "the edit"))
    assert len(told) == 7


def test_another_ending_is_refused(tmp_path) -> None:
    with pytest.raises(UsageError, match=r"neither \.csv nor \.jsonl"):
        read_triplets(tmp_path / "a.tsv", overlaps=())
    with pytest.raises(UsageError, match=r"neither \.jsonl nor \.csv"):
        write_triplets(tmp_path / "a.txt", [])
    with pytest.raises(UsageError, match="is no file"):
        read_triplets(tmp_path / "absent.csv", overlaps=())


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_written_is_read_again(tmp_path, ending, split) -> None:
    """Also: the filters take hardly anything that the grammar makes for noise."""
    made = [one for part in PARTS for one in GeneratedTriplets(split).of(part, 120)]
    path = tmp_path / f"made.{ending}"
    write_triplets(path, made)
    source = read_triplets(path, overlaps=())
    assert len(source.problems) <= 0.003 * len(made), source.problems.describe()
    assert set(all_of(source)) <= set(made)
    assert len(all_of(source)) == len(made) - len(source.problems)
    assert [path] == list(tmp_path.iterdir())


def test_a_larger_count_begins_with_a_smaller_and_the_order_is_not_the_files(csv_of) -> None:
    rows = [f"Cat {n} sleeps.,Cat {n} rests.,Cat {n} runs.\n" for n in range(50)]
    source = csv_of(HEADER + "".join(rows))
    some = source.of("core", 10)
    assert source.of("core", 20)[:10] == some
    assert {one.anchor for one in some} != {f"Cat {n} sleeps." for n in range(10)}
    assert csv_of(HEADER + "".join(rows)).of("core", 10) == some


def test_pairs_of_webvid_covr_have_the_unedited_source_as_negative(tmp_path) -> None:
    path = tmp_path / "webvid2m-covr_train.csv"
    path.write_text(
        "txt1,txt2,pth1,pth2,edit,sim_txt\n"
        "Aerial view of a beach,Aerial view of a beach at night,1/2,3/4,make it night,0.9\n"
        "A dog runs,A dog runs,1/2,3/4,make it run,0.9\n"
        "A dog runs,A cat runs,1/2,3/4,,0.9\n"
    )
    source = read_covr(path)
    [one] = source.of("composed", 10)
    assert one == Triplet(
        anchor="Aerial view of a beach",
        edit="make it night",
        positive="Aerial view of a beach at night",
        negative="Aerial view of a beach",
        part="composed",
        why="edit: not applied",
    )
    assert source.overlaps == ("WebVid-CoVR", "Dense-WebVid-CoVR")
    assert source.problems.counts == {"same": 1, "text": 1}
    with pytest.raises(UsageError, match="line 3"):
        read_covr(path, strict=True)


def test_a_composed_anchor_is_put_to_a_model_as_a_video_with_an_edit_is() -> None:
    [one] = GeneratedTriplets("train").of("composed", 1)
    anchor, positive, negative = one.contents()
    assert (anchor.kind, anchor.caption, anchor.text) == ("composed", one.anchor, one.edit)
    assert (positive.kind, positive.text, negative.text) == ("text", one.positive, one.negative)
    [plain] = GeneratedTriplets("train").of("time", 1)
    assert [content.kind for content in plain.contents()] == ["text"] * 3
    assert plain.contents()[0].text == plain.anchor
