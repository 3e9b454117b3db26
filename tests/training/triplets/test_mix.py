"""A mix takes what it asks for, each triplet once, and tells what it shares with evaluations."""

import json
import textwrap
from pathlib import Path

import pytest

from kinoscope.errors import UsageError
from kinoscope.training.triplets import (
    PARTS,
    GeneratedTriplets,
    Mix,
    load_mix,
    mixed,
    read_triplets,
)
from kinoscope.training.triplets.overlap import Overlap, overlap

ROOT = Path(__file__).parents[3]


def mix_of(counts, *sources, **more) -> Mix:
    return Mix(counts=counts, sources=lambda: sources or (GeneratedTriplets("train"),), **more)


def test_counts_are_those_asked_for_and_each_triplet_comes_once() -> None:
    found = mixed(mix_of({"time": 40, "order": 30}))
    assert found.counts == {"time": 40, "order": 30}
    assert len(set(found.triplets)) == 70
    assert repr(found) == "Mixed(70 triplets, {'time': 40, 'order': 30})"
    parts = [triplet.part for triplet in found.triplets]
    assert "order" in parts[:20] and "time" in parts[:20]


def test_the_order_is_the_seeds_and_so_is_the_fingerprint() -> None:
    one, same, other = (mixed(mix_of({"time": 40}, seed=seed)) for seed in (0, 0, 1))
    assert one.triplets == same.triplets != other.triplets
    assert set(one.triplets) == set(other.triplets)
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert mixed(mix_of({"time": 41})).fingerprint != one.fingerprint


def test_the_first_source_gives_what_it_has_and_the_next_the_rest(tmp_path) -> None:
    path = tmp_path / "real.csv"
    path.write_text(
        "sent0,sent1,hard_neg\nA cat sleeps.,A cat rests.,A cat runs.\n"
        "A dog barks.,A dog is heard.,A dog is mute.\n"
    )
    real = read_triplets(path, overlaps=("STS",))
    found = mixed(mix_of({"core": 5, "time": 3}, real, GeneratedTriplets("train")))
    assert found.given == {
        ("core", "real"): 2,
        ("core", "generated train, seed 0"): 3,
        ("time", "generated train, seed 0"): 3,
    }


def test_an_empty_part_and_too_small_a_part_are_told(tmp_path) -> None:
    path = tmp_path / "real.csv"
    path.write_text("sent0,sent1,hard_neg\nA cat sleeps.,A cat rests.,A cat runs.\n")
    real = read_triplets(path, overlaps=())
    with pytest.raises(UsageError, match="part order of the mix is empty: real have none"):
        mixed(mix_of({"order": 5}, real))
    with pytest.raises(UsageError, match="part core has 1 triplets of 5 in real: ask for fewer"):
        mixed(mix_of({"core": 5}, real))


@pytest.mark.parametrize(
    ("counts", "complaint"),
    [
        ({"time": 0}, r"part time of the mix is empty \(0\): leave it out"),
        ({"time": -1}, "part time of the mix is empty"),
        ({"time": True}, "part time of the mix is empty"),
        ({"time": 1.5}, "part time of the mix is empty"),
        ({"colour": 3}, "part 'colour' of the mix: choose core, time"),
        ({}, "the mix has no part"),
    ],
)
def test_bad_counts_are_told(counts, complaint) -> None:
    with pytest.raises(UsageError, match=complaint):
        mix_of(counts)


def test_a_mix_without_sources_is_told() -> None:
    with pytest.raises(UsageError, match="the mix has no source"):
        mixed(Mix(counts={"time": 1}, sources=lambda: ()))


def test_overlap_counts_texts_that_occur_and_those_with_a_run_in_common() -> None:
    said = ["A big red dog runs over the wet grass.", "A cat."]
    asked = [
        "a big  red dog runs over the wet grass",  # the same but for signs
        "Today a big red dog runs over it.",  # six words in a row
        "A big red dog runs.",  # five
        "a cat",
        "A cat!",  # the same text once more
        "",
    ]
    assert overlap(said, asked) == Overlap(texts=5, same=2, near=2)
    assert str(overlap(said, asked)) == "2 of 5 texts, 2 share 6 words in a row"
    assert overlap([], asked) == Overlap(5, 0, 0)


@pytest.fixture
def mix_file(tmp_path):
    path = tmp_path / "small.py"
    path.write_text(
        textwrap.dedent(
            """
            from kinoscope.training.triplets import GeneratedTriplets, Mix

            def mix(split):
                source = GeneratedTriplets(split)
                return Mix(
                    counts={"time": 12, "composed": 8},
                    sources=lambda: [source],
                    evaluated={"own": lambda: [source.of("time", 1)[0].anchor, "A tree."]},
                )
            """
        )
    )
    return path


def test_make_prints_counts_samples_and_overlap_and_writes_a_file(run, mix_file, tmp_path) -> None:
    to = tmp_path / "made.csv"
    code, out, err = run("triplets", "make", "--mix", mix_file, "--samples", 1, "--out", to)
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].split() == ["time", "12", "generated", "train,", "seed", "0"]
    assert lines[1].split()[:2] == ["composed", "8"]
    assert lines[-1].startswith("overlap with own: 1 of 2 texts")
    named = {line.split()[0] for line in lines if line.startswith("  ")}
    assert named == {"anchor", "edit", "right", "wrong"}
    assert "generated train, seed 0: overlapping no benchmark; none left out" in err
    assert err.splitlines()[-1] == f"20 triplets in {to}"
    assert len(read_triplets(to, overlaps=(), strict=True).of("time", 100)) == 12


def test_make_prints_json_for_programs(run, mix_file) -> None:
    words = ("--mix", mix_file, "--split", "test", "--json", "--samples", 2)
    code, out, err = run("triplets", "make", *words)
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0] == {"part": "time", "source": "generated test, seed 0", "count": 12}
    assert len([line for line in lines if "sample" in line]) == 4
    assert lines[-1]["evaluation"] == "own" and lines[-1]["same"] == 1
    assert "overlapping generated test" in err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", r"has no function mix\(split\): write one that returns a Mix"),
        ("def mix(split): return 3", "gives int, not a Mix"),
    ],
)
def test_a_file_that_is_no_mix_is_told(tmp_path, content, complaint) -> None:
    path = tmp_path / "bad.py"
    path.write_text(content)
    with pytest.raises(UsageError, match=complaint):
        load_mix(path, "train")


def test_mistakes_are_one_sentence(run, mix_file, tmp_path) -> None:
    code, _, err = run("triplets", "make", "--mix", tmp_path / "absent.py")
    assert (code, "is no mix: name a Python file" in err) == (2, True)
    code, _, err = run("triplets", "make", "--mix", mix_file, "--samples", -1)
    assert (code, "--samples -1: choose 0 to 100" in err) == (2, True)
    code, _, err = run("triplets", "make", "--mix", mix_file, "--split", "dev")
    assert (code, "split 'dev'" in err) == (2, True)
    code, _, err = run("triplets", "make", "--mix", mix_file, "--out", tmp_path / "no" / "a.csv")
    assert (code, "cannot write" in err) == (6, True)


def test_the_shipped_mix_shares_nothing_with_what_it_is_measured_on() -> None:
    mix = load_mix(ROOT / "recipes" / "nuance_mix.py", "validation")
    found = mixed(mix)
    assert set(found.counts) == set(PARTS)
    assert set(mix.evaluated) == {"handwritten sentences", "captions of the world's test"}
    for texts in mix.evaluated.values():
        common = found.overlap(texts())
        assert common.texts >= 900 and common.same == common.near == 0
    train = load_mix(ROOT / "recipes" / "nuance_mix.py", "train")
    assert sum(train.counts.values()) == 20_000
    with pytest.raises(UsageError, match="split 'dev': choose train, validation, test"):
        load_mix(ROOT / "recipes" / "nuance_mix.py", "dev")
