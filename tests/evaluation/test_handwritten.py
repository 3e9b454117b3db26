"""Handwritten triples: a hundred a nuance, foreign to the grammar; accuracy is counted right."""

from pathlib import Path

import numpy as np
import pytest

from kinoscope.errors import UsageError
from kinoscope.evaluation.handwritten import (
    NUANCES,
    Triple,
    accuracy_on,
    read_handwritten,
    right_is_nearer,
)
from kinoscope.training.triplets import PARTS, GeneratedTriplets
from kinoscope.training.triplets.negators import negators_in
from kinoscope.training.triplets.overlap import overlap, sentences_of, words_of
from kinoscope.training.triplets.word_files import SPLITS

FOLDER = Path(__file__).parents[1] / "data" / "handwritten"


def sentences(nuance):
    triples = read_handwritten(FOLDER / f"{nuance}.tsv")
    return [text for one in triples for text in (one.anchor, one.right, one.wrong)]


@pytest.mark.parametrize("nuance", NUANCES)
def test_there_are_a_hundred_and_none_comes_twice(nuance) -> None:
    triples = read_handwritten(FOLDER / f"{nuance}.tsv")
    assert len(triples) == 100
    assert len({one.anchor for one in triples}) == 100
    for text in sentences(nuance):
        assert text[0].isupper() and text[-1] == "." and "  " not in text, text


def test_negation_is_explicit_in_each_of_its_triples() -> None:
    for one in read_handwritten(FOLDER / "negation.tsv"):
        assert negators_in(one.anchor) or negators_in(one.wrong), one


@pytest.mark.parametrize("split", SPLITS)
def test_the_grammar_makes_none_of_them_and_shares_no_five_words_in_a_row(split) -> None:
    source = GeneratedTriplets(split)
    made = [triplet for part in PARTS for triplet in source.of(part, 800)]
    texts = [text for nuance in NUANCES for text in sentences(nuance)]
    found = overlap(sentences_of(made), texts, run=5)
    assert (found.same, found.near) == (0, 0)


def unit(rows) -> np.ndarray:
    array = np.asarray(rows, np.float32)
    return array / np.linalg.norm(array, axis=1, keepdims=True)


def test_the_right_sentence_must_be_nearer_and_a_tie_counts_against_us() -> None:
    anchors = unit([[1, 0], [1, 0], [1, 0]])
    right = unit([[1, 0.1], [0, 1], [1, 1]])
    wrong = unit([[0, 1], [1, 0.1], [1, -1]])
    assert right_is_nearer(anchors, right, wrong).tolist() == [1.0, 0.0, 0.0]


def test_it_is_that_of_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    anchors, right, wrong = (unit(rng.normal(size=(50, 8))) for _ in range(3))
    looped = [float(a @ r > a @ w) for a, r, w in zip(anchors, right, wrong, strict=True)]
    assert right_is_nearer(anchors, right, wrong).tolist() == looped


def test_unlike_shapes_and_no_triples_are_told() -> None:
    one, two = unit([[1, 0]]), unit([[1, 0], [0, 1]])
    with pytest.raises(UsageError, match="give one row a triplet for each"):
        right_is_nearer(one, two, two)
    none = np.empty((0, 2), np.float32)
    with pytest.raises(UsageError, match="give one row a triplet for each"):
        right_is_nearer(none, none, none)


def test_an_embedder_is_asked_for_each_sentence_once() -> None:
    triples = (
        Triple("a cat", "the cat", "a dog"),
        Triple("the cat", "a cat", "the dog"),
        Triple("no cat", "no cats", "a cat"),
    )
    asked: list[str] = []

    def embed(texts):
        asked.extend(texts)
        return unit([["cat" in text, "no" in text, 0.1, "dog" in text] for text in texts])

    assert accuracy_on(triples, embed).tolist() == [1.0, 1.0, 1.0]
    assert len(asked) == len(set(asked)) == 6
    with pytest.raises(UsageError, match="2 vectors of 6 texts: give one each"):
        accuracy_on(triples, lambda texts: unit([[1, 0], [0, 1]]))


@pytest.mark.parametrize("nuance", NUANCES)
def test_the_wrong_sentence_has_more_words_of_the_anchor(nuance) -> None:
    """So that a bag of words, which knows no nuance, is not right by accident."""
    triples = read_handwritten(FOLDER / f"{nuance}.tsv")

    def bags(texts):
        places = {word: n for n, word in enumerate({w for t in texts for w in words_of(t)})}
        counts = np.zeros((len(texts), len(places)), np.float32)
        for row, text in enumerate(texts):
            for word in words_of(text):
                counts[row, places[word]] += 1
        return unit(counts)

    assert accuracy_on(triples, bags).mean() <= 0.05


@pytest.mark.parametrize(
    "line", ["one sentence", "two\tsentences", "a\tb\tc\td", "a\tb\ta", "a\t\tc"]
)
def test_lines_that_are_no_triple_are_told(tmp_path, line) -> None:
    path = tmp_path / "time.tsv"
    path.write_text(f"# a remark\nA.\tB.\tC.\n{line}\n")
    with pytest.raises(UsageError, match=r"time\.tsv, line 3: .*write three unlike sentences"):
        read_handwritten(path)
    path.write_text("# nothing\n")
    with pytest.raises(UsageError, match="has no triple"):
        read_handwritten(path)
