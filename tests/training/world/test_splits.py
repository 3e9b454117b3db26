"""Splits: what one shows or says that another must not."""

import itertools
from collections import Counter

import pytest

from kinoscope.training.world import (
    SPLITS,
    WorldConfig,
    detail,
    questions,
    sample,
    surroundings,
    tasks,
    wordings,
)
from kinoscope.training.world.captions import captions
from kinoscope.training.world.events import EVENTS, PROPS, pair_name
from kinoscope.training.world.nouns import all_nouns, confusable, nouns_of
from kinoscope.training.world.splits import (
    COLORS,
    OTHER_PLACES,
    OUTDOORS,
    PATTERNS,
    SHAPES,
    combinations,
    looks,
    vocabulary_split,
)
from tests.training.world.worlds import PLAIN, scenes

SPRITES = ("photographed", "drawn")
SEEN = WorldConfig(sprites=(), nouns="seen")


def apart(parts):
    """No two of them share anything."""
    return all(set(a).isdisjoint(b) for a, b in itertools.combinations(parts, 2))


def drawn(split, config=PLAIN):
    return [actor.thing for scene in scenes(split, 240, config) for s in scene.shots
            for actor in s.actors]  # fmt: skip


def pairs(split, config=PLAIN):
    return {(t.color, t.name) for t in drawn(split, config) if t.kind == "shape"}


def test_no_noun_and_no_picture_is_in_two_splits():
    tables = [nouns_of(split, SPRITES) for split in SPLITS]
    assert apart([[noun.name for noun in table] for table in tables])
    assert apart([[look for noun in table for look in noun.looks] for table in tables])
    assert sum(map(len, tables)) == len(all_nouns())
    assert len(tables[0]) > len(tables[2]) > len(tables[1]) > 40


def test_every_picture_shows_one_noun():
    shown = Counter(look for noun in all_nouns().values() for look in noun.looks)
    assert [look for look, count in shown.items() if count > 1] == []


def test_every_kind_of_noun_is_trained_and_held_out_in_part():
    kinds = {noun.category for noun in nouns_of("test", SPRITES)}
    assert kinds <= {noun.category for noun in nouns_of("train", SPRITES)}
    assert len(kinds) > 10


def test_a_set_of_sprites_brings_only_its_own_pictures():
    for name in SPRITES:
        for split in SPLITS:
            found = nouns_of(split, (name,))
            assert found and all(look.startswith(f"{name}/") for n in found for look in n.looks)
    assert nouns_of("train", ()) == ()


def test_scenes_with_sprites_show_the_nouns_of_their_split_alone():
    for split, nouns in itertools.product(SPLITS, ("held_out", "seen")):
        vocabulary = vocabulary_split(split, nouns)
        allowed = {noun.name: noun.looks for noun in nouns_of(vocabulary, SPRITES)}
        config = WorldConfig(nouns=nouns)
        shown = [
            actor.thing
            for seed in range(60)
            for shot in sample(split, seed, config).shots
            for actor in shot.actors
            if actor.thing.kind == "sprite"
        ]
        assert len(shown) > 40
        assert all(thing.look in allowed[thing.name] for thing in shown)


def test_things_in_one_video_cannot_be_taken_for_each_other():
    for seed in range(100):
        scene = sample("train", seed)
        names = [a.thing.name for s in scene.shots for a in s.actors if a.thing.kind == "sprite"]
        assert not any(confusable(a, b) for a, b in itertools.combinations(names, 2))
        assert not any(confusable(scene.absent, name) for name in names)


def test_shapes_have_colors_of_their_own_in_each_split():
    tables = [combinations(split) for split in SPLITS]
    assert apart(tables)
    assert set().union(*tables) == set(itertools.product(COLORS, SHAPES))
    for shape in SHAPES:
        counts = [sum(name == shape for _, name in table) for table in tables]
        assert counts == [8, 1, 2]
    for split, table in zip(SPLITS, tables, strict=True):
        assert pairs(split) <= set(table)
        assert len(pairs(split)) > 5
    assert apart([pairs(split) for split in SPLITS])


def test_seen_nouns_are_those_of_the_training_in_every_split():
    assert all(vocabulary_split(split, "seen") == "train" for split in SPLITS)
    assert all(vocabulary_split(split, "held_out") == split for split in SPLITS)
    for split in SPLITS:
        assert pairs(split, SEEN) <= set(combinations("train"))
        assert {scene.vocabulary for scene in scenes(split, 240, SEEN)} == {"train"}
        trained = {noun.name for noun in nouns_of("train", SPRITES)}
        assert {scene.absent for scene in scenes(split, 240, SEEN)} <= trained


def test_absent_things_are_nouns_of_the_split():
    for split in SPLITS:
        own = {noun.name: noun.category for noun in nouns_of(split, SPRITES)}
        for scene in scenes(split):
            assert own[scene.absent] == scene.absent_category


def test_backgrounds_come_in_variants_of_their_own():
    assert apart([looks(split) for split in SPLITS])
    shown = {
        split: [shot.background for scene in scenes(split) for shot in scene.shots]
        for split in SPLITS
    }
    assert apart([[b.look for b in shown[split]] for split in SPLITS])
    for split in SPLITS:
        assert {b.look for b in shown[split]} <= set(looks(split))
        assert {b.name for b in shown[split] if b.kind == "pattern"} == set(PATTERNS[split])
        places = {b.name for b in shown[split] if b.kind == "place"}
        assert places == {*OUTDOORS, *OTHER_PLACES}
    assert "bricks" not in PATTERNS["train"] and "wood" not in PATTERNS["train"]


def test_no_scene_of_one_split_is_one_of_another():
    assert apart([[scene.shots for scene in scenes(split)] for split in SPLITS])


def tables_of(value, name):
    """All tables of phrases by split in a module's value."""
    if isinstance(value, dict) and set(value) == set(SPLITS):
        yield name, value
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from tables_of(inner, f"{name} {key}")


TABLES = dict(
    found
    for module in (wordings, surroundings, detail, questions, tasks)
    for name, value in vars(module).items()
    for found in tables_of(value, f"{module.__name__.rsplit('.', 1)[-1]} {name}")
)


@pytest.mark.parametrize("name", sorted(TABLES))
def test_no_phrase_of_a_table_is_in_two_splits(name):
    table = TABLES[name]
    assert all(table[split] and all(table[split]) for split in SPLITS)
    assert all(len(set(table[split])) == len(table[split]) for split in SPLITS)
    assert apart([[phrase.lower() for phrase in table[split]] for split in SPLITS])


def test_the_tables_of_phrases_were_found():
    assert len(TABLES) > 60
    told = {name.removeprefix("wordings EVENT_PHRASES ") for name in TABLES}
    assert {pair_name(kind) for kind in EVENTS} <= told


def test_phrases_of_an_event_are_in_one_split_and_differ_from_those_of_its_opposite():
    for kind in {pair_name(kind) for kind in EVENTS}:
        table = wordings.EVENT_PHRASES[kind]
        first, second = (
            [[wordings.chosen(phrase, side) for phrase in table[split]] for split in SPLITS]
            for side in (0, 1)
        )
        assert apart(first) and apart(second)
        same = [a == b for one, two in zip(first, second, strict=True)
                for a, b in zip(one, two, strict=True)]  # fmt: skip
        assert set(same) == {EVENTS[kind].opposite == kind}


def test_a_scene_told_in_the_words_of_two_splits_is_never_told_alike():
    for scene in scenes("train", 40):
        assert apart([captions(scene, 20, split=split) for split in SPLITS])


def test_props_are_in_every_split():
    names = {name for kinds in PROPS.values() for name in kinds}
    for split in SPLITS:
        assert {thing.name for thing in drawn(split) if thing.kind == "prop"} == names
