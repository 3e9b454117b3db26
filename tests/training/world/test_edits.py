"""Edits: the target differs from the source in the named thing alone, and both texts say so."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any, get_args

import numpy as np
import pytest

from kinoscope.training.world import Scene, WorldConfig, sample, surroundings
from kinoscope.training.world.grammar import NUMBERS, Style, Teller, definite, describe, indefinite
from kinoscope.training.world.nouns import Sprites
from kinoscope.training.world.render import frame_times, render
from kinoscope.training.world.scene import Background, Shot, Thing, opposite
from kinoscope.training.world.tasks import Edit, edits

# Texts need no pictures, so that sprites can be told without a download.
WORLDS = (WorldConfig(sprites=()), WorldConfig(sprites=get_args(Sprites)))
KINDS = ("actor", "added", "color", "count", "direction", "order", "place", "removed", "time")
ALLOWED = {
    "actor": r"shots\.\d\.actors\.\d\.thing\.(name|look)",
    "color": r"shots\.\d\.actors\.\d\.thing\.color",
    "count": r"shots\.\d\.actors\.\d\.thing\.count",
    "direction": r"shots\.\d\.events\.\d\.(kind|(begin|end|other_begin|other_end)(\.\w+)?)",
    "place": r"shots\.\d\.background\.(name|colors\.0)",
    "time": r"shots\.\d\.background\.time",
}
"""Which fields an edit of one thing may change."""


@lru_cache(maxsize=4)
def edited(split: str = "train", count: int = 200) -> tuple[tuple[Scene, Edit], ...]:
    scenes = (sample(split, seed, world) for world in WORLDS for seed in range(count))
    return tuple((scene, edit) for scene in scenes for edit in edits(scene))


def of_kind(kind: str) -> Iterator[tuple[Scene, Edit]]:
    """All edits of a kind; never none."""
    found = [pair for pair in edited() if pair[1].kind == kind]
    assert len(found) >= 30
    yield from found


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """Every plain value of nested dictionaries and tuples, by its path."""
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, tuple):
        pairs = list(enumerate(value))
    else:
        return {path: value}
    parts = [leaves(each, f"{path}.{key}".lstrip(".")) for key, each in pairs]
    return {key: leaf for part in parts for key, leaf in part.items()}


def differing(one: Scene, other: Scene) -> set[str]:
    """Paths of the fields that differ."""
    first, second = leaves(asdict(one)), leaves(asdict(other))
    return {path for path in first | second if first.get(path, ()) != second.get(path, ())}


def changed_shot(scene: Scene, edit: Edit) -> tuple[Shot, Shot]:
    """The one shot that an edit changed, before and after."""
    pairs = zip(scene.shots, edit.scene.shots, strict=True)
    (pair,) = [pair for pair in pairs if pair[0] != pair[1]]
    return pair


def changed_thing(scene: Scene, edit: Edit) -> tuple[Thing, Thing]:
    before, after = changed_shot(scene, edit)
    pairs = zip(before.actors, after.actors, strict=True)
    (pair,) = [(a.thing, b.thing) for a, b in pairs if a != b]
    return pair


def said(text: str, words: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text, re.IGNORECASE) is not None


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_every_kind_is_made_at_most_once_a_scene(split) -> None:
    counts = Counter((id(scene), edit.kind) for scene, edit in edited(split))
    assert {kind for _, kind in counts} == set(KINDS)
    assert max(counts.values()) == 1


def test_edits_are_the_same_each_time() -> None:
    for seed in range(20):
        assert edits(sample("test", seed)) == edits(sample("test", seed))


@pytest.mark.parametrize("kind", ALLOWED)
def test_one_thing_changes_and_all_else_stays(kind) -> None:
    for scene, edit in of_kind(kind):
        paths = differing(scene, edit.scene)
        assert paths and all(re.fullmatch(ALLOWED[kind], path) for path in paths), edit
        places = {re.match(r"shots\.\d\.\w+(\.\d)?", path)[0] for path in paths}
        assert len(places) == 1, edit


@pytest.mark.parametrize("kind", KINDS)
def test_captions_tell_source_and_target_apart(kind) -> None:
    for _, edit in of_kind(kind):
        assert edit.source != edit.target
        assert edit.text[0].isupper() and edit.text.endswith(".")
        assert not re.search(r"[{}<>]", edit.text + edit.source + edit.target)


def test_another_actor_is_named_in_the_text_and_the_caption() -> None:
    for scene, edit in of_kind("actor"):
        before, after = changed_thing(scene, edit)
        assert said(edit.text, definite(before)) and said(edit.text, indefinite(after)), edit
        assert before.category == after.category
        assert scene.absent != after.name


def test_another_color_is_named() -> None:
    for scene, edit in of_kind("color"):
        before, after = changed_thing(scene, edit)
        assert said(edit.text, definite(before)) and said(edit.text, after.color or "-"), edit
        assert said(edit.source, before.color or "-") and said(edit.target, after.color or "-")


def test_another_number_is_named() -> None:
    for scene, edit in of_kind("count"):
        before, after = changed_thing(scene, edit)
        assert said(edit.text, f"{NUMBERS[after.count]} {describe(after)}"), edit
        assert said(edit.source, NUMBERS[before.count]), edit
        assert said(edit.target, NUMBERS[after.count]), edit


def test_a_direction_becomes_the_opposite_and_the_text_says_it() -> None:
    for scene, edit in list(of_kind("direction"))[::6]:
        before, after = changed_shot(scene, edit)
        (pair,) = [p for p in zip(before.events, after.events, strict=True) if p[0] != p[1]]
        assert replace(opposite(pair[0]), gait=pair[0].gait) == pair[1]
        assert (pair[0].span, pair[0].actors) == (pair[1].span, pair[1].actors)
        assert any(said(edit.text, clause) for clause in clauses(scene, after, pair[1])), edit
        assert not any(said(edit.text, clause) for clause in clauses(scene, after, pair[0])), edit


def clauses(scene: Scene, shot: Shot, event) -> Iterator[str]:
    """Ways to say an event of a shot whose actors are known."""
    for number in range(400):
        teller = Teller(Style(scene.split, number), shot)
        teller.mentioned = set(range(len(shot.actors)))
        yield teller.clause(event, adverb=False)


def test_another_place_is_named() -> None:
    for scene, edit in of_kind("place"):
        before, after = (shot.background for shot in changed_shot(scene, edit))
        assert any(said(edit.text, words) for words in place_words(scene, after)), edit
        assert any(said(edit.target, words) for words in place_words(scene, after)), edit
        assert any(said(edit.source, words) for words in place_words(scene, before)), edit


def place_words(scene: Scene, background: Background) -> tuple[str, ...]:
    if background.kind == "place":
        return surroundings.PLACES[background.name][scene.split]
    return background.colors[:1]


def test_another_time_is_named() -> None:
    for scene, edit in of_kind("time"):
        _, after = (shot.background for shot in changed_shot(scene, edit))
        words = surroundings.TIME[after.time][scene.split]
        assert any(said(edit.text, word) for word in words), edit
        assert any(said(edit.target, word) for word in words), edit


def test_an_order_is_exchanged_and_nothing_else_changes() -> None:
    for scene, edit in of_kind("order"):
        before, after = [e for _, e in scene.events], [e for _, e in edit.scene.events]
        timeless = [[replace(e, start_s=0.0, end_s=1.0) for e in each] for each in (before, after)]
        assert timeless[0] == timeless[1][::-1] and len(before) == 2, edit
        lengths = [[round(e.end_s - e.start_s, 9) for e in each] for each in (before, after)]
        assert lengths[0] == lengths[1][::-1]
        assert after[0].end_s <= after[1].start_s
        parts = [
            sorted(repr((s.actors, s.background, s.camera, s.light)) for s in each.shots)
            for each in (scene, edit.scene)
        ]
        assert parts[0] == parts[1]
        assert re.search(r"order|first|second|sequence", edit.text)


def test_a_removal_takes_one_bystander_away() -> None:
    for scene, edit in of_kind("removed"):
        before, after = changed_shot(scene, edit)
        assert len(after.actors) == len(before.actors) - 1
        (gone,) = [n for n in before.bystanders if said(edit.text, definite(before.actors[n].thing))
                   and after.actors == (*before.actors[:n], *before.actors[n + 1 :])]  # fmt: skip
        assert replace(before, actors=(), events=()) == replace(after, actors=(), events=())
        assert [e.kind for e in before.events] == [e.kind for e in after.events]
        for one, other in zip(before.events, after.events, strict=True):
            assert [before.actors[n] for n in one.actors] == [after.actors[n] for n in other.actors]
        thing = indefinite(before.actors[gone].thing).lower()
        assert edit.source.lower().count(thing) == edit.target.lower().count(thing) + 1, edit


def test_an_addition_puts_one_bystander_in() -> None:
    for scene, edit in of_kind("added"):
        before, after = changed_shot(scene, edit)
        assert after == replace(before, actors=after.actors)
        assert after.actors[:-1] == before.actors
        assert after.bystanders == (*before.bystanders, len(before.actors))
        thing = after.actors[-1].thing
        assert said(edit.text, indefinite(thing)), edit
        assert thing.name not in [a.thing.name for shot in scene.shots for a in shot.actors]
        assert said(edit.target, indefinite(thing)) and not said(edit.source, indefinite(thing))


@pytest.mark.parametrize("kind", sorted({*KINDS} - {"added"}))
def test_the_change_can_be_seen(kind) -> None:
    """In at least one frame, and not by a trifle; an addition needs pictures."""
    plain = [(scene, edit) for scene, edit in of_kind(kind) if not scene_has_sprites(scene)]
    for scene, edit in plain[:6]:
        times_F = frame_times(scene.duration_s, 4)
        one, other = (render(s, times_F, (64, 64)).rgb_FHWC for s in (scene, edit.scene))
        apart_FHW = np.abs(one.astype(np.int16) - other.astype(np.int16)).max(axis=-1)
        assert (apart_FHW > 24).sum(axis=(1, 2)).max() >= 10, edit


def scene_has_sprites(scene: Scene) -> bool:
    return any(actor.thing.kind == "sprite" for shot in scene.shots for actor in shot.actors)
