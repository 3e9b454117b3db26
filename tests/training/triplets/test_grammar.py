"""What the generator writes is English, and its hard negatives differ in the named nuance alone."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kinoscope.errors import UsageError
from kinoscope.training.english import conjugate, past_participle
from kinoscope.training.triplets import PARTS, GeneratedTriplets
from kinoscope.training.triplets.edits import CHANGES, base
from kinoscope.training.triplets.lexicon import load_lexicon
from kinoscope.training.triplets.negators import NEGATORS, negators_in
from kinoscope.training.triplets.overlap import words_of
from kinoscope.training.triplets.scenes import Scene
from kinoscope.training.triplets.word_files import SPLITS

LEXICON = load_lexicon()
SOURCES = {split: GeneratedTriplets(split) for split in SPLITS}

splits = st.sampled_from(SPLITS)
numbers = st.integers(0, 10**9)


def texts(triplet):
    return [
        one for one in (triplet.anchor, triplet.edit, triplet.positive, triplet.negative) if one
    ]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PARTS), splits, numbers)
def test_every_sentence_is_well_formed(part, split, number) -> None:
    triplet = SOURCES[split].triplet(part, number)
    assert (triplet.part, bool(triplet.edit)) == (part, part == "composed")
    assert triplet.why
    for text in texts(triplet):
        assert text[0].isupper(), text
        assert text[-1] in ".?", text
        assert text == " ".join(text.split()), text
        assert not re.search(r"[{}|+~@<>_]| [.,;:?]|[,;] ?[.,;]|\.\.", text), text
        assert not re.search(r"\b(a|an|the|some|is|his|her) \1\b", text), text
        check_articles(text)


def check_articles(text: str) -> None:
    """By another rule than the grammar's: letters, and the words that sound otherwise."""
    for article, word in re.findall(r"\b(an?) (\w+)", text, flags=re.IGNORECASE):
        silent = word.startswith("hour")
        glide = word.startswith(("uni", "use", "eu")) or word == "one"
        wanted = silent or (word[0].lower() in "aeiou" and not glide)
        assert (article.lower() == "an") == wanted, f"{article} {word} in {text}"


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(PARTS), splits, numbers)
def test_the_positive_is_neither_anchor_nor_negative(part, split, number) -> None:
    triplet = SOURCES[split].triplet(part, number)
    assert triplet.positive not in (triplet.anchor, triplet.negative)
    assert triplet.edit or triplet.negative != triplet.anchor


def forms_of(wordings) -> set[str]:
    """All words that a verb phrase can take, inflected, with its particles and fixed objects."""
    found = set()
    for wording in wordings:
        verb, *rest = re.sub(r"\{[^}]*\}", " ", wording).split()
        forms = (conjugate(verb, many=False, form=form) for form in ("present", "participle"))
        found |= {verb, *forms, past_participle(verb), *rest}
    return {word for phrase in found for word in words_of(phrase)}


def differing(one: str, other: str) -> set[str]:
    """Words that one of two sentences has more often than the other."""
    first, second = Counter(words_of(one)), Counter(words_of(other))
    return set((first - second) + (second - first))


def differs_in(triplet, allowed) -> bool:
    """Whether the negative differs from the anchor, or the positive, in one set of words alone."""
    changes = [differing(triplet.negative, text) for text in (triplet.anchor, triplet.positive)]
    return any(change <= words for words in allowed for change in changes)


def short(wording: str) -> str:
    return " ".join(word for word in wording.split() if not word.startswith("{"))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["time", "direction", "state"]), splits, numbers)
def test_a_hard_negative_of_time_differs_in_the_verb_alone(part, split, number) -> None:
    triplet = SOURCES[split].triplet(part, number)
    one, other = triplet.why.partition(": ")[2].split(" / ")
    pairs = [
        pair
        for pair in LEXICON.pairs[part][split]
        for mine, theirs in (pair.sides, pair.sides[::-1])
        if one in map(short, mine) and other in map(short, theirs)
    ]
    assert pairs, triplet.why
    own = {"his", "her", "its", "their"}
    allowed = [forms_of([*pair.sides[0], *pair.sides[1]]) | own for pair in pairs]
    assert differs_in(triplet, allowed), triplet


@settings(max_examples=200, deadline=None)
@given(splits, numbers)
def test_a_hard_negative_of_manner_differs_in_the_adverb_alone(split, number) -> None:
    triplet = SOURCES[split].triplet("adverb", number)
    one, _ = triplet.why.partition(": ")[2].split(" / ")
    own = {"his", "her", "him", "himself", "herself"}
    allowed = [
        {word for side in manners.sides for adverb in side for word in words_of(adverb)} | own
        for manners in LEXICON.manners[split]
        if any(one in map(short, side) for side in manners.sides)
    ]
    assert differs_in(triplet, allowed), triplet


ROOTS = {
    form: wording.split()[0]
    for split in SPLITS
    for activity in LEXICON.activities[split]
    for wording in activity.wordings
    for form in forms_of([wording.split()[0]])
}


def told_in_order(text: str) -> list[str]:
    return [ROOTS.get(word, word) for word in words_of(text)]


@settings(max_examples=300, deadline=None)
@given(splits, numbers)
def test_a_hard_negative_of_order_has_the_same_words_in_another_order(split, number) -> None:
    triplet = SOURCES[split].triplet("order", number)
    wrong = told_in_order(triplet.negative)
    alike = [
        text
        for text in map(told_in_order, (triplet.anchor, triplet.positive))
        if sorted(text) == sorted(wrong)
    ]
    assert alike and wrong not in alike, triplet


@settings(max_examples=300, deadline=None)
@given(splits, numbers)
def test_negation_turns_a_claim_round_and_names_nothing_new(split, number) -> None:
    triplet = SOURCES[split].triplet("negation", number)
    assert any(map(negators_in, (triplet.anchor, triplet.negative))), triplet
    scenes = LEXICON.scenes[split]
    deeds = {word for scene in scenes for deed in scene.actions for word in words_of(deed)}
    names = {
        word
        for scene in scenes
        for phrase in (*scene.names, *scene.places, *scene.colours, *scene.extras, *scene.garments)
        for word in words_of(phrase)
        if len(word) > 3 and word not in ("with", "front", "next") and word not in deeds
    }
    said = set(words_of(f"{triplet.anchor} {triplet.positive}"))
    plain = {word.rstrip("s") for word in said} | said
    new = set(words_of(triplet.negative)) & names - said
    if {"nothing", "nobody"} & set(negators_in(triplet.anchor)):
        new -= {name for scene in scenes for name in scene.names}  # whatever is there denies it
    assert {word for word in new if word.rstrip("s") not in plain} == set(), triplet


def test_all_negators_are_taught_in_every_split() -> None:
    for split in SPLITS:
        said = " ".join(text for one in SOURCES[split].of("negation", 500) for text in texts(one))
        found = set(negators_in(said))
        assert set(NEGATORS) <= found, f"{split} lacks {set(NEGATORS) - found}"
    kinds = {one.why for one in SOURCES["train"].of("negation", 500)}
    assert kinds == {f"negation: {kind}" for kind in (*NEGATORS, "double")}


def test_negators_stand_in_anchors_too() -> None:
    """A model must not learn that the sentence with a negator is the wrong one."""
    made = SOURCES["train"].of("negation", 400)
    taken_back = [one for one in made if negators_in(one.anchor)]
    assert 0.15 < len(taken_back) / len(made) < 0.6


@settings(max_examples=300, deadline=None)
@given(splits, numbers)
def test_an_edit_is_needed_to_tell_target_from_source(split, number) -> None:
    triplet = SOURCES[split].triplet("composed", number)
    applied = triplet.why.endswith("another value")
    assert applied or triplet.negative == triplet.anchor
    assert not applied or triplet.anchor not in (triplet.negative, triplet.positive)
    wrong, target = map(words_of, (triplet.negative, triplet.positive))
    assert sorted(wrong) != sorted(target), triplet


FIELDS = {"object": "name", "add": "extra", "remove": "extra"}


@settings(max_examples=300, deadline=None)
@given(splits, numbers, st.sampled_from(sorted(CHANGES)))
def test_an_edit_changes_one_fact_of_the_scene_and_a_wrong_one_the_same(split, number, kind):
    chance = (LEXICON, split, Random(number))
    change = CHANGES[kind](base(kind, chance), chance)
    field = FIELDS.get(kind, kind)
    for scene in (change.target, change.wrong):
        differing = {f.name for f in fields(Scene)} - {
            f.name
            for f in fields(Scene)
            if getattr(scene, f.name) == getattr(change.source, f.name)
        }
        assert differing <= {field}
    assert getattr(change.target, field) != getattr(change.source, field)
    assert change.wrong != change.target


def test_all_kinds_of_edits_occur_in_every_split() -> None:
    for split in SPLITS:
        kinds = {one.why.split()[2].rstrip(":") for one in SOURCES[split].of("composed", 300)}
        assert kinds == {
            *("colour", "object", "place", "time", "number"),
            *("action", "manner", "add", "remove"),
        }


def test_orders_are_not_told_by_one_word_or_by_the_place_in_the_sentence() -> None:
    """Both events come first in about half of the sentences, right or wrong."""
    made = SOURCES["train"].of("order", 300)
    right = [" after " in f" {one.positive.casefold()}" for one in made]
    wrong = [" after " in f" {one.negative.casefold()}" for one in made]
    assert abs(sum(right) - sum(wrong)) < 0.15 * len(made)


@pytest.mark.parametrize("part", PARTS)
def test_the_same_seed_gives_the_same_triplets_and_more_begin_with_fewer(part) -> None:
    some, more = GeneratedTriplets("train").of(part, 20), GeneratedTriplets("train").of(part, 30)
    assert some == more[:20]
    assert len(set(more)) == 30
    assert GeneratedTriplets("train", seed=1).of(part, 20) != some
    assert GeneratedTriplets("test").of(part, 20) != some


def test_another_process_makes_the_same_triplets() -> None:
    program = (
        "from kinoscope.training.triplets import GeneratedTriplets, PARTS;"
        "print([GeneratedTriplets('train').of(part, 5) for part in PARTS])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


def test_an_unknown_split_is_refused() -> None:
    with pytest.raises(UsageError, match="split 'dev': choose train, validation, test"):
        GeneratedTriplets("dev")  # type: ignore[arg-type]
