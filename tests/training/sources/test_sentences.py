"""Sentences: WordNet's lines are read, seen things and deeds chosen, texts cleaned."""

import pytest

from kinoscope.errors import SetupError
from kinoscope.training.sources.sentences import (
    LEAST_WORDS,
    MOST_WORDS,
    cleaned,
    described,
    of_deeds,
    of_things,
    sentences,
    synsets,
)

LICENCE = "  1 This software and database is being provided to you, the LICENSEE"
NOUNS = [
    LICENCE,
    "00000100 05 n 01 terrier 0 002 @ 00000200 n 0000 ~ 00000300 n 0000 | small lively dogs; "
    '"the terrier dug a hole";  ',
    "00000200 05 n 02 hunting_dog 0 hound 1 001 ~ 00000100 n 0000 | a dog used in hunting  ",
    "00000300 05 n 01 Skye 0 001 @ 00000100 n 0000 | a terrier with long hair  ",
    "00000400 05 n 01 mole 0 000 | a small velvety-furred mammal  ",
    "00000500 09 n 01 terrier 1 000 | a thought of no use here  ",
]
VERBS = [
    LICENCE,
    '00000600 38 v 01 run 0 000 01 + 02 00 | move fast; "the children ran to the store"; "Run!"  ',
    '00000700 31 v 01 think 0 000 01 + 02 00 | use the mind; "he thought it over again"  ',
]


def test_meanings_are_read_with_words_gloss_examples_and_neighbours() -> None:
    found = list(synsets(NOUNS))
    assert [synset.place for synset in found] == [100, 200, 300, 400, 500]
    terrier, hound = found[:2]
    assert (terrier.file, terrier.words, terrier.gloss) == (5, ("terrier",), "small lively dogs")
    assert terrier.examples == ("the terrier dug a hole",) and terrier.near == (200, 300)
    assert hound.words == ("hunting dog", "hound")


@pytest.mark.parametrize("line", ["no meaning", "00000100 05 n zz terrier 0 000 | dogs", ""])
def test_other_lines_are_refused(line) -> None:
    with pytest.raises(SetupError, match="line 2 is not WordNet's"):
        list(synsets([LICENCE, line]))


def test_things_are_those_of_class_names_and_near_them() -> None:
    """A class names a terrier by its last word; its kind and its sort are near, a mole is not."""
    assert list(of_things(list(synsets(NOUNS)), ["Border Terrier (a dog)", "toucan"])) == [
        "terrier, small lively dogs",
        "the terrier dug a hole",
        "hunting dog, a dog used in hunting",
        "Skye, a terrier with long hair",
    ]


def test_deeds_are_those_that_can_be_seen() -> None:
    assert list(of_deeds(synsets(VERBS))) == ["the children ran to the store", "Run!"]


def test_descriptions_begin_with_their_name() -> None:
    told = {
        "10": {"name": ["brambling"], "description": "A finch."},
        "2": {
            "name": ["shark", "Carcharodon"],
            "description": "A large fish. It has a white belly.",
        },
        "3": {"description": "Without a name."},
    }
    assert list(described(told)) == [
        "shark, a large fish.",
        "It has a white belly.",
        "brambling, a finch.",
    ]


def test_texts_are_cleaned_counted_and_kept_once_in_their_order() -> None:
    good = [
        "a fox  runs through\nthe snow",
        "the owl (a bird) sat in a tree",
        "three`s a crowd here",
    ]
    many = " ".join(["word"] * MOST_WORDS)
    bad = [
        "too few words",
        f"{many} more",
        "a line with {signs} of code",
        "ein Fuchs im Schnee, süß",
    ]
    assert cleaned([*good, *bad, many, good[0]]) == [
        "a fox runs through the snow",
        "the owl sat in a tree",
        many,
    ]
    assert len(["three's", "a", "crowd", "here"]) < LEAST_WORDS


def test_without_the_list_the_remedy_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match=r"sentences-1; run: python -m recipes\.distil fetch"):
        sentences()
