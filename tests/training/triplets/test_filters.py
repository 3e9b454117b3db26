"""Filters find the noise that is known from published triplets, and leave good ones alone."""

import pytest

from kinoscope.errors import UsageError
from kinoscope.training.sources.problems import Unfit
from kinoscope.training.triplets import Triplet
from kinoscope.training.triplets.filters import (
    changes_object,
    flips_direction,
    has_markup,
    moves_object,
    require_clean,
)
from kinoscope.training.triplets.negators import denies, negators_in


@pytest.mark.parametrize(
    "text",
    [
        "**Positive:** A man opens the door.",
        "Sure! Here is a caption: a dog runs.",
        "Here's the edited caption: a cat on a sofa",
        "1. A woman picks up a cup.",
        "- a woman picks up a cup",
        "# Caption",
        "A woman <b>picks</b> up a cup",
        "A woman picks up a cup.<|im_end|>",
        "[INST] a woman picks up a cup",
        "Edited caption: a woman picks up a cup",
        "A woman &amp; a man",
        "A woman picks up a cup.\nA man sits.",
        "`a woman picks up a cup`",
        '"A woman picks up a cup."',
        "A person {verb} a cup",
        "The person [object] picks up",
        "As an AI, I cannot see the video",
        "![image](a.png)",
    ],
)
def test_mark_up_is_found(text) -> None:
    assert has_markup(text)


@pytest.mark.parametrize(
    "text",
    [
        'A man says "hello" to a woman.',
        "Here is a dog that runs.",
        "A 5-year-old boy eats 2 apples.",
        "A woman's dog isn't asleep - it runs.",
        "The score is 3 < 4.",
        "Two people (a man and a woman) dance.",
        "Sure-footed goats climb a cliff.",
        "A note lies on the table: it is red.",
    ],
)
def test_plain_sentences_are_not_mark_up(text) -> None:
    assert not has_markup(text)


@pytest.mark.parametrize(
    ("anchor", "positive"),
    [
        ("A person picks up fruit.", "Someone puts down an apple."),
        ("A man is opening the window.", "A guy closes a window."),
        ("C takes off the lid.", "A person puts the lid on."),
        ("The car turns left.", "A vehicle turns right at the lights."),
        ("A woman walks towards the house.", "A woman walks away from the house."),
        ("The balloon goes up.", "The balloon floats down."),
        ("She folds the shirt.", "She unfolds the shirt."),
    ],
)
def test_a_positive_that_flips_direction_is_found(anchor, positive) -> None:
    assert flips_direction(anchor, positive)


@pytest.mark.parametrize(
    ("anchor", "positive"),
    [
        ("A person picks up a cup.", "A person picks the cup."),
        ("A person puts on a hat.", "A person slips on a hat."),
        ("A man walks in the park.", "Someone is outside."),
        ("He turns left and then right.", "He turns left at first."),
        ("A man puts a cup on the table.", "A man places a cup on the table."),
        ("A woman opens the box.", "The box is opened by a woman."),
        ("A boy sits down in a chair.", "A boy sits in a chair."),
    ],
)
def test_a_positive_of_the_same_direction_is_left_alone(anchor, positive) -> None:
    assert not flips_direction(anchor, positive)


@pytest.mark.parametrize(
    ("anchor", "positive", "moved"),
    [
        ("C puts a cup on the table.", "C places the cup in the sink.", True),
        ("C picks up a cup from the floor.", "C picks the cup from the shelf.", True),
        ("C puts a cup on the table.", "C places the cup on a table.", False),
        ("C puts a cup on the table.", "C puts the cup.", False),
        ("C puts cups on the table.", "C puts a cup on the tables.", False),
        ("C puts a cup on the table.", "C puts a bowl in the sink.", False),
    ],
)
def test_an_object_in_another_place_is_found(anchor, positive, moved) -> None:
    assert moves_object(anchor, positive) is moved


@pytest.mark.parametrize(
    ("anchor", "positive", "changed"),
    [
        ("C picks up a knife.", "C picks up a spoon.", True),
        ("C picks up a sharp knife.", "C picks the knife.", False),
        ("C opens the boxes.", "C opens a box.", False),
        ("C picks up a knife.", "C washes a spoon.", False),
    ],
)
def test_another_object_is_found(anchor, positive, changed) -> None:
    assert changes_object(anchor, positive) is changed


def triplet(anchor, positive, negative, part="time", edit=""):
    return Triplet(
        anchor=anchor, positive=positive, negative=negative, part=part, why="", edit=edit
    )


def test_only_what_is_noise_in_its_part_is_refused() -> None:
    walk = ("A man walks in.", "A man comes in.", "A man walks out.")
    assert require_clean(triplet(*walk)) == triplet(*walk)
    with pytest.raises(Unfit, match="goes the other way"):
        require_clean(triplet("A man walks in.", "A man walks out.", "A man sits."))
    knife = ("C picks up a knife.", "C picks up a tool.", "C puts down a knife.")
    with pytest.raises(Unfit, match="another object"):
        require_clean(triplet(*knife))
    assert require_clean(triplet(*knife, part="core"))  # a kind is implied by a thing
    with pytest.raises(UsageError, match="in two places"):
        require_clean(triplet("C puts a cup on a desk.", "C puts a cup in a box.", "C sits."))
    turned = ("A car turns left.", "A car turns right.", "A car turns left.")
    assert require_clean(triplet(*turned, part="composed", edit="turn the other way"))
    with pytest.raises(Unfit, match="holds mark-up"):
        require_clean(triplet(*turned, part="composed", edit="**turn** the other way"))


@pytest.mark.parametrize(
    ("sentence", "found"),
    [
        ("There is no dog.", ("no",)),
        ("It isn't a dog.", ("n't",)),
        ("It isn’t a dog.", ("n't",)),
        ("He cannot swim.", ("not",)),
        ("No one is here.", ("no",)),
        ("Neither a dog nor a cat.", ("neither", "nor")),
        ("Nobody never says nothing nowhere.", ("nobody", "never", "nothing", "nowhere")),
        ("None goes without it.", ("none", "without")),
        ("Not only dogs bark.", ()),
        ("There is no doubt: it is nothing but a dog.", ()),
        ("A dog is absent, a notable lack; I know it.", ()),
        ("Take train No. 5.", ()),
        ("", ()),
    ],
)
def test_explicit_negators_are_found_and_antonyms_are_not(sentence, found) -> None:
    assert negators_in(sentence) == found


def test_a_negative_denies_only_what_the_others_say_plainly() -> None:
    assert denies("There is no dog.", "A dog runs.", "There is a dog.")
    assert not denies("There is a cat.", "A dog runs.", "There is a dog.")
    assert not denies("There is no dog.", "A dog does not run.", "There is a dog.")
