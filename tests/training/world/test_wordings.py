"""Wordings: orders of words keep the order in time, and the videos of a split use them all."""

import re
from dataclasses import replace

import pytest

from kinoscope.training.world import SPLITS, surroundings, wordings
from kinoscope.training.world.captions import caption
from kinoscope.training.world.scene import Background
from kinoscope.training.world.splits import OTHER_PLACES, OUTDOORS, PATTERNS, TIMES
from tests.training.world.worlds import scenes


@pytest.mark.parametrize("split", SPLITS)
def test_orders_of_words_keep_the_order_in_time(split):
    for table, count in ((wordings.ORDER_2, 2), (wordings.ORDER_3, 3), (wordings.ORDER_4, 4)):
        for template in table[split]:
            slots = re.findall(r"\{(\d)\}", template)
            assert sorted(slots) == [str(n + 1) for n in range(count)]
            assert told_order(template) == sorted(slots), template


def told_order(template):
    """The slots of an order of words, the earliest event first, by the words before a slot."""
    slots = re.findall(r"\{(\d)\}", template)
    earlier = re.search(r"(?:\bafter|\bonce|before that|not before) \{(\d)\}", template)
    later = re.search(r"(?<!not )\bbefore \{(\d)\}", template)
    assert not (earlier and later), template
    pair, rest = slots[:2], slots[2:]
    if found := earlier or later:
        (other,) = set(pair) - {found[1]}
        pair = [found[1], other] if earlier else [other, found[1]]
    return pair + rest


@pytest.mark.parametrize(
    ("template", "order"),
    [("{1} after {2}", "21"), ("{2} before {1}", "21"), ("{1}, once {2}", "21"),
     ("before {1}, {2}", "21"), ("after {2}, {1}", "21"), ("{2} and only then {1}", "21"),
     ("{2}, but before that {1}", "12"), ("{2}, but not before {1}", "12"),
     ("{1} before {2}, and then {3}", "123"), ("after {2}, {1}, and then {3}", "213")],
)  # fmt: skip
def test_the_order_that_words_tell_is_read_off(template, order):
    assert told_order(template) == list(order)


BACKGROUNDS = [
    *(Background(kind="place", name=name, time="day") for name in OUTDOORS),
    *(Background(kind="place", name=name) for name in OTHER_PLACES),
    *(Background(kind="place", name="beach", time=time) for time in TIMES),
    Background(kind="plain", name="plain", colors=("gray",)),
    Background(kind="gradient", name="gradient", colors=("gray", "pink")),
]


def tables_of(background):
    """The tables of wordings that tell a background."""
    if background.kind == "place":
        times = [surroundings.TIME[background.time]] if background.time else []
        return [surroundings.PLACES[background.name], *times]
    named = {"plain": surroundings.PLAIN, "gradient": surroundings.GRADIENT}
    return [named.get(background.kind) or surroundings.PATTERN[background.name]]


def used(phrases, background, text):
    """The longest of the phrases that a text holds: `in a desert` is part of others."""
    said = {phrase: phrase for phrase in phrases}
    for number, color in enumerate(background.colors, start=1):
        said = {phrase: words.replace(f"{{{number}}}", color) for phrase, words in said.items()}
    held = [p for p, words in said.items() if re.search(rf"\b{words}\b", text, re.IGNORECASE)]
    return max(held, key=lambda phrase: len(said[phrase]))


@pytest.mark.parametrize("split", SPLITS)
def test_the_first_captions_of_many_scenes_use_every_wording_of_a_place(split):
    patterns = [Background(kind="pattern", name=n, colors=("gray",)) for n in PATTERNS[split]]
    one_shot = [scene for scene in scenes(split) if len(scene.shots) == 1]
    for background in (*BACKGROUNDS, *patterns):
        texts = [
            caption(replace(scene, shots=(replace(scene.shots[0], background=background),)))
            for scene in one_shot
        ]
        for table in tables_of(background):
            told = {used(table[split], background, text) for text in texts}
            assert told == set(table[split]), background
