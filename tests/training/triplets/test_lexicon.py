"""The lexicon is large, its splits share nothing, and a bad line is told with its number."""

import re
import shutil
import tomllib
from pathlib import Path

import pytest

from kinoscope.errors import UsageError
from kinoscope.training import english
from kinoscope.training.triplets import GeneratedTriplets
from kinoscope.training.triplets.lexicon import load_lexicon
from kinoscope.training.triplets.word_files import FOLDER, SPLITS
from kinoscope.training.world import wordings

ROOT = Path(__file__).parents[3]
LEXICON = load_lexicon()


def entries(split, kind):
    """All that must not occur in two splits, as text, by kind."""
    pairs = {
        name: {wording for pair in by[split] for side in pair.sides for wording in side}
        for name, by in LEXICON.pairs.items()
    }
    scenes = LEXICON.scenes[split]
    patterns = (*LEXICON.core[split], *LEXICON.negation[split], *LEXICON.edits[split])
    return {
        **pairs,
        "adverbs": {a for m in LEXICON.manners[split] for side in m.sides for a in side},
        "activities": {w for a in LEXICON.activities[split] for w in a.wordings},
        "people": {name for person in LEXICON.people[split] for name in person.names},
        "names": {name for scene in scenes for name in scene.names},
        "actions": {action for scene in scenes for action in scene.actions},
        "places": {place for scene in scenes for place in scene.places},
        "colours": {colour for scene in scenes for colour in scene.colours},
        "extras": {extra for scene in scenes for extra in scene.extras},
        "garments": {garment for scene in scenes for garment in scene.garments},
        "manners": {one for scene in scenes for manner in scene.manners for one in manner},
        "kinds": {scene.kind for scene in scenes},
        "times": set(LEXICON.times[split]),
        "numbers": set(LEXICON.numbers[split]),
        "frames": set(LEXICON.frames[split]),
        "orders": set(LEXICON.orders[split]),
        "patterns": {text for pattern in patterns for text in pattern.texts},
    }[kind]


KINDS = (
    *("time", "direction", "state", "adverbs", "activities", "people", "names", "actions"),
    *("places", "colours", "extras", "garments", "manners", "kinds", "times", "numbers"),
    *("frames", "orders", "patterns"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_splits_share_no_entry_and_no_wording(kind) -> None:
    train, validation, test = (entries(split, kind) for split in SPLITS)
    assert train and validation and test
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_it_is_as_large_as_it_is_said_to_be() -> None:
    assert sum(map(len, LEXICON.pairs["time"].values())) >= 150
    assert sum(map(len, LEXICON.manners.values())) >= 40
    assert sum(map(len, LEXICON.pairs["direction"].values())) >= 30
    assert sum(map(len, LEXICON.pairs["state"].values())) >= 30


@pytest.mark.parametrize("kind", ["time", "direction", "state"])
def test_no_wording_occurs_twice_in_a_side_nor_on_both(kind) -> None:
    for split in SPLITS:
        for pair in LEXICON.pairs[kind][split]:
            both = [*pair.sides[0], *pair.sides[1]]
            assert len(set(both)) == len(both), both


def test_the_words_held_out_by_the_world_are_not_taught_here() -> None:
    """The tuned model is measured on the world's test: its rare verbs and manners stay unseen."""
    everyday = {"pull", "roll", "bring", "show", "set", "do", "begin"}
    verbs = {
        split: {
            verb
            for phrases in wordings.EVENT_PHRASES.values()
            for phrase in phrases[split]
            for verb in re.findall(r"<(?:[sp]:)?(\w+)>", phrase)
        }
        for split in SPLITS
    }
    held = (verbs["test"] | verbs["validation"]) - verbs["train"] - everyday
    taught = {
        wording.split()[0]
        for kind in ("time", "direction", "state", "activities", "actions")
        for wording in entries("train", kind)
    }
    assert not taught & held
    manners = {
        phrase for by in wordings.TEMPO.values() for split in SPLITS[1:] for phrase in by[split]
    }
    assert not manners & (entries("train", "adverbs") | entries("train", "manners"))


def test_short_verbs_double_their_last_letter() -> None:
    """`gripping`, not `griping`: one vowel, one consonant behind it, one syllable."""
    verbs = {
        wording.split()[0]
        for split in SPLITS
        for kind in ("time", "direction", "state", "activities", "actions")
        for wording in entries(split, kind)
    }
    short = {verb for verb in verbs if re.fullmatch(r"(?:qu|[^aeiou])*[aeiou][^aeiouwxy]", verb)}
    assert len(short) > 20
    wrong = [
        verb
        for verb in short
        if english.conjugate(verb, many=False, form="participle") != f"{verb}{verb[-1]}ing"
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("verb", "third", "participle", "past"),
    [
        ("carry", "carries", "carrying", "carried"),
        ("tie", "ties", "tying", "tied"),
        ("tiptoe", "tiptoes", "tiptoeing", "tiptoed"),
        ("take", "takes", "taking", "taken"),
        ("have", "has", "having", "had"),
        ("unzip", "unzips", "unzipping", "unzipped"),
        ("do", "does", "doing", "done"),
        ("see", "sees", "seeing", "seen"),
        ("play", "plays", "playing", "played"),
    ],
)
def test_verbs_inflect(verb, third, participle, past) -> None:
    assert english.conjugate(verb, many=False, form="present") == third
    assert english.conjugate(verb, many=False, form="participle") == participle
    assert english.past_participle(verb) == past


def test_the_files_are_package_data() -> None:
    data = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "training/triplets/words/*.txt" in data["package-data"]["kinoscope"]


@pytest.fixture
def copy(tmp_path):
    """A lexicon of one's own with a line more, at the end of a file's training section."""

    def changed(name, line):
        folder = tmp_path / "words"
        shutil.copytree(FOLDER, folder)
        text = (folder / name).read_text()
        at = text.index("\n[validation")
        (folder / name).write_text(f"{text[:at]}\n{line}\n{text[at:]}")
        return folder

    return changed


@pytest.mark.parametrize(
    ("name", "line", "complaint"),
    [
        ("verbs.txt", "open {o} : door", r"verbs.txt, line \d+: 'open \{o\}' has no opposite"),
        ("verbs.txt", "open {o} | : door", "has no opposite: write it behind"),
        ("verbs.txt", "open {o} | open {o} : door", "is its own opposite"),
        ("verbs.txt", "open {o} | close {o}", "stands in all wordings, with objects, or in none"),
        ("verbs.txt", "open {o} | close : door", "stands in all wordings"),
        ("verbs.txt", "open {x} | close {x} : door", "slots are"),
        ("verbs.txt", "| close", "write `wordings | opposite wordings`"),
        ("verbs.txt", "a | b | c", "write `wordings | opposite wordings`"),
        ("states.txt", "melt : ice", "'melt' has no opposite"),
        ("adverbs.txt", "slowly : motion", "'slowly' has no opposite"),
        ("adverbs.txt", "slowly | quickly", "write `adverbs | opposites : groups`"),
        ("activities.txt", "walk", "write `wordings @ groups : objects`"),
        ("activities.txt", "stir {o} @ kitchen", "objects stand where a wording has"),
        ("people.txt", "it robot", "write `he names` or `she names`"),
        ("negation.txt", "not : {S} {s}. | {S} {is}.", "write `anchor | positive | negative`"),
        ("edits.txt", "colour", "write `kind : text`"),
        ("times.txt", "noon", "write `name: values`"),
    ],
)
def test_a_bad_line_is_told_with_file_and_number(copy, name, line, complaint) -> None:
    with pytest.raises(UsageError, match=complaint) as raised:
        load_lexicon(copy(name, line))
    assert name in str(raised.value)


def test_a_manner_of_a_scene_needs_an_opposite(copy) -> None:
    folder = copy("scenes.txt", "manners: slowly")
    with pytest.raises(UsageError, match="the manner 'slowly' has no opposite"):
        load_lexicon(folder)


def test_a_scene_needs_three_of_each(copy) -> None:
    with pytest.raises(UsageError, match="places of thing are fewer than three: write more"):
        load_lexicon(copy("scenes.txt", "places: here; there"))


def test_lines_outside_the_splits_and_missing_files_are_told(tmp_path) -> None:
    folder = tmp_path / "words"
    shutil.copytree(FOLDER, folder)
    text = (folder / "order.txt").read_text()
    (folder / "order.txt").write_text(text.replace("[test]", "[dev]"))
    with pytest.raises(UsageError, match=r"order.txt, line \d+: '\[dev\]' is in no split"):
        load_lexicon(folder)
    (folder / "order.txt").unlink()
    with pytest.raises(UsageError, match=r"has no order\.txt: copy the one of"):
        load_lexicon(folder)


def test_a_split_without_entries_is_told(tmp_path) -> None:
    folder = tmp_path / "words"
    shutil.copytree(FOLDER, folder)
    text = (folder / "verbs.txt").read_text()
    (folder / "verbs.txt").write_text(text[: text.index("[test]")])
    with pytest.raises(UsageError, match=r"verbs.txt has nothing for test: write lines"):
        load_lexicon(folder)


def test_a_lexicon_of_ones_own_is_used_and_has_its_own_fingerprint(copy) -> None:
    folder = copy("verbs.txt", "frobnicate {o} | unfrobnicate {o} : gizmo")
    mine, shipped = GeneratedTriplets("train", lexicon=folder), GeneratedTriplets("train")
    assert mine.fingerprint != shipped.fingerprint
    said = " ".join(one.anchor for one in mine.of("time", 3000))
    assert "frobnicat" in said
