"""Texts: many wordings, good grammar, and nothing but the truth unless they are to be wrong."""

import difflib
import itertools
import re
from collections import Counter

import numpy as np
import pytest

from kinoscope.training.world import SPLITS, WorldConfig, reverse, surroundings, wordings
from kinoscope.training.world.captions import absence, caption, captions, negated_caption
from kinoscope.training.world.changes import changes
from kinoscope.training.world.detail import detailed_caption
from kinoscope.training.world.events import EVENTS, PROPS
from kinoscope.training.world.grammar import (
    NUMBERS,
    Style,
    Teller,
    conjugate,
    describe,
    indefinite,
    with_article,
)
from kinoscope.training.world.nouns import plural
from kinoscope.training.world.questions import questions
from kinoscope.training.world.splits import COLORS, SHAPES
from kinoscope.training.world.tasks import edits, is_chiral, mismatches, moments, reversal
from tests.training.world.worlds import PLAIN, scenes, scenes_of

LONG = WorldConfig(sprites=(), duration_s=24.0)
SHORT = WorldConfig(sprites=(), duration_s=2.0)
CONFIGS = pytest.mark.parametrize("config", [PLAIN, LONG, SHORT], ids=["usual", "long", "short"])

WRONG_ARTICLE = re.compile(r"\b(?:a (?=[aeio])(?!one\b)|an (?![aeiouh8]))", re.IGNORECASE)
PARTICLE = re.compile(r"\b(on (?=on )|in (?=in ))")  # `is turned on on a meadow`


def check_grammar(text):
    assert text == text.strip() and "  " not in text, text
    assert text[0].isupper() and text[-1] in ".?!", text
    assert not set(text) & set("{}[]|<>_"), text
    assert " ." not in text and " ," not in text and ".." not in text and ",," not in text, text
    assert not WRONG_ARTICLE.search(text), text
    assert not re.search(r"\b(\w+) \1\b", PARTICLE.sub("", text.lower())), text


def all_texts(scene):
    yield from captions(scene, 8)
    yield detailed_caption(scene, scene.seed)
    yield negated_caption(scene, scene.seed)
    yield from (absence(scene, n, true=n % 2 == 0) for n in range(4))
    yield from (moment.text for moment in moments(scene, scene.seed))
    yield from (text for m in mismatches(scene) for text in (m.true, m.wrong))
    yield from (text for e in edits(scene) for text in (e.text, e.source, e.target))
    yield from (question.question for question in questions(scene))


@pytest.mark.parametrize("split", SPLITS)
@CONFIGS
def test_all_texts_are_well_formed(split, config):
    for scene in scenes(split, 50, config):
        for text in all_texts(scene):
            check_grammar(text)


def test_the_check_of_grammar_can_fail():
    for text in ("a fox.", "A apple.", "An fox.", "A  fox.", "A {A}.", "The the fox.", "A fox"):
        with pytest.raises(AssertionError):
            check_grammar(text)


@pytest.mark.parametrize("split", SPLITS)
def test_a_scene_has_twenty_different_wordings_and_more(split):
    for scene in scenes(split, 60):
        told = captions(scene, 20)
        assert len(set(told)) == 20
        assert told[0] == caption(scene) and captions(scene, 20) == told


@pytest.mark.parametrize(
    ("words", "article"),
    [("apple", "an"), ("fox", "a"), ("hourglass", "an"), ("orange cloth", "an"), ("horse", "a"),
     ("umbrella", "an"), ("unicorn", "a"), ("igloo", "an"), ("ukulele", "a")],
)  # fmt: skip
def test_articles_follow_the_sound(words, article):
    assert with_article(words) == f"{article} {words}"


@pytest.mark.parametrize(
    ("one", "many"),
    [("fox", "foxes"), ("wolf", "wolves"), ("mouse", "mice"), ("sheep", "sheep"),
     ("cherry", "cherries"), ("box", "boxes"), ("slice of lime", "slices of lime"),
     ("fire engine", "fire engines"), ("bus", "buses"), ("drinking glass", "drinking glasses")],
)  # fmt: skip
def test_plurals(one, many):
    assert plural(one) == many


@pytest.mark.parametrize(
    ("verb", "one", "many", "going"),
    [("move", "moves", "move", "is moving"), ("go", "goes", "go", "is going"),
     ("get", "gets", "get", "is getting"), ("be", "is", "are", "is being"),
     ("cross", "crosses", "cross", "is crossing"), ("hop", "hops", "hop", "is hopping"),
     ("empty", "empties", "empty", "is emptying"), ("sway", "sways", "sway", "is swaying")],
)  # fmt: skip
def test_verbs_agree(verb, one, many, going):
    assert conjugate(verb, many=False, form="present") == one
    assert conjugate(verb, many=True, form="present") == many
    assert conjugate(verb, many=False, form="progressive") == going


def test_the_verb_of_a_clause_agrees_with_its_subject():
    seen = Counter()
    for split, number in itertools.product(SPLITS, range(4)):
        for scene in scenes(split):
            for shot, event in scene.events:
                thing = shot.actors[event.actor].thing
                text = Teller(Style(split, number), shot).clause(event)
                if event.other is not None or not text.startswith(indefinite(thing)):
                    continue
                words = text.removeprefix(indefinite(thing)).split()
                verb = words[1] if words[0].endswith("ly") or words[0] == "ever" else words[0]
                plain = verb in ("are", "cross", "pass") or not verb.endswith("s")
                if event.gait == "steady" and not event.tempo:
                    assert plain == (thing.count > 1) or (verb == "crosses"), text
                    seen[thing.count > 1] += 1
    assert min(seen[True], seen[False]) > 50


# What a clause must say to tell an event from its opposite, said here anew.

SAYS = {
    "move_left": r"\bleft(ward)?\b", "move_right": r"\bright(ward)?\b",
    "move_up": r"\bup(ward)?\b|to top|rise|ascend|the top|\bclimb|higher|upper border",
    "move_down": r"\bdown(ward)?\b|to bottom|sink|descend|the bottom|\bfall|lower",
    "come_closer": r"closer|nearer|approach|toward|up close|draws? near|far to near|forward"
    r"|to the front|\bnears? the camera",
    "go_away": r"away|retreat|withdraw|far off|recede|near to far|backward|to the back|steps? back"
    r"|leaves? the camera behind",
    "enter_left": r"(enter|come|slide|move|arrive|glide|show|travel)s? .*from the left"
    r"|(walks?|push(es)?) in from the left|comes? in over the left|turns? up on the left",
    "leave_left": r"(leave|go|slide|move|depart|glide|exit|travel)(e?s)? .*(to|on|over) the left"
    r"|(walk|push)(e?s)? out to the left|drops? out of view on the left",
    "enter_right": r"(enter|come|slide|move|arrive|glide|show|travel)s? .*from the right"
    r"|(walks?|push(es)?) in from the right|comes? in over the right|turns? up on the right",
    "leave_right": r"(leave|go|slide|move|depart|glide|exit|travel)(e?s)? .*(to|on|over) the right"
    r"|(walk|push)(e?s)? out to the right|drops? out of view on the right",
    "appear": r"\bappear|\bvisible|fades? in\b|emerge|materialize|being|pops? up|solid"
    r"|out of nowhere|into sight",
    "vanish": r"vanish|invisible|fades? out|disappear|dissolve|from sight|cease|pops? out"
    r"|transparent|into nowhere|out of sight",
    "grow": r"grow|bigger|larger|increase|expand|swell|enlarge|to large|inflate|gains? size"
    r"|stretch|puffs? up",
    "shrink": r"shrink|smaller|decrease|contract|dwindle|diminish|to small|deflate|loses? size"
    r"|draws? in|shrivel",
    "turn_clockwise": r"\bclockwise|right like the hands",
    "turn_counterclockwise": r"counterclockwise|left against the hands",
    "pick_up": r"\bup\b|lift|raise|pull|seize",
    "put_down": r"\bdown\b|lower|drop|placed below",
    "open": r"open", "close": r"close|shut",
    "light_on": r"\bon\b|bright|light up|lights up|begin|\blit\b|start(s|ing)? shining"
    r"|giv(es?|ing) light",
    "light_off": r"\boff\b|dark|\bout\b|cease|stop(s|ping)? shining|los(es?|ing) (its|their) light",
    "join": r"together|meet|toward|\bjoin|approach|unite|gap .* closes|close to|nearer|gather",
    "separate": r"apart|\bpart|away|separate|withdraw|split|widen|far from|farther|\bleave|scatter",
    "stack": r"\bon\b|onto|on top",
    "unstack": r"\boff\b|taken (off|from)|removed|down from|unpiled",
    "cover": r"\bcover|\bhid(es?|den)\b|behind(?<!from behind)|\bveil|\bover\b|concealed|drops"
    r"|\bshroud|\bblock",
    "uncover": r"uncover|reveal|(out|back) from|up from|unveil|rises|exposed|unshroud|lifts? off"
    r"|\bfree",
    "fill": r"\bfill|rise|into|receive|to full|climb|\benter|goes up|gets? full",
    "empty": r"empt|drain|sink|out of|lose|to empty|drop|\bleave|runs? dry|goes down",
}  # fmt: skip


def plainly(text):
    text = re.sub(r"from (the )?left to (the )?right", "rightward", text)
    text = re.sub(r"from (the )?right to (the )?left", "leftward", text)
    return re.sub(r"from (empty|full|small|large|open|closed)", "", text)


@pytest.mark.parametrize("kind", sorted(SAYS))
@pytest.mark.parametrize("split", SPLITS)
def test_a_clause_says_its_event_and_not_the_opposite(kind, split):
    for scene, number in itertools.product(scenes_of(kind)[:4], range(100)):
        for shot, event in scene.events:
            text = plainly(Teller(Style(split, number), shot).clause(event, adverb=False))
            assert re.search(SAYS[kind], text), text
            assert not re.search(SAYS[EVENTS[kind].opposite], text), text


@pytest.mark.parametrize("split", SPLITS)
def test_the_reversal_is_told_as_the_opposite_events_in_the_reversed_order(split):
    pairs = 0
    for scene in scenes(split, 120):
        forward, backward, chiral = reversal(scene, scene.seed)
        assert (forward, backward) == (
            caption(scene, scene.seed), caption(reverse(scene), scene.seed))  # fmt: skip
        assert chiral == is_chiral(scene)
        if chiral:
            assert forward != backward
        pairs += chiral
        told = moments(reverse(scene), scene.seed)[::-1]
        for (_, event), there, back in zip(scene.events, moments(scene, 0), told, strict=True):
            assert there.span.start_s == scene.duration_s - back.span.end_s
            assert there.span.end_s == scene.duration_s - back.span.start_s
            opposite = EVENTS[event.kind].opposite
            if opposite in SAYS and event.gait == "steady" and not event.tempo:
                assert re.search(SAYS[opposite], plainly(back.text)), back.text
    assert pairs > 90


@CONFIGS
def test_detailed_captions_have_60_to_250_words(config):
    for split in SPLITS:
        for scene in scenes(split, 100, config):
            assert 60 <= len(detailed_caption(scene, scene.seed).split()) <= 250


def test_a_detailed_caption_names_every_actor_and_every_event():
    for scene in scenes("test", 60):
        text = detailed_caption(scene, 1)
        for shot in scene.shots:
            for actor in shot.actors:
                assert describe(actor.thing) in text
        whens = [text.count(word) for word in (" in, ", "At a time of ")]
        assert sum(whens) >= len(scene.events)


@CONFIGS
def test_a_moment_lies_in_one_shot_and_no_other_moment_is_told_like_it(config):
    for scene in scenes("train", 200, config):
        found = moments(scene, scene.seed)
        assert len(found) == len(scene.events)
        for moment, (shot, event) in zip(found, scene.events, strict=True):
            assert shot.start_s <= moment.span.start_s < moment.span.end_s <= shot.end_s
            assert (moment.span.start_s, moment.span.end_s) == (event.start_s, event.end_s)
        for one, two in itertools.pairwise(found):
            assert one.span.end_s <= two.span.start_s  # half-open: they may touch
        assert len({moment.text for moment in found}) == len(found), scene.seed


def changed_words(mismatch):
    a, b = (re.findall(r"[\w'-]+", text.lower()) for text in (mismatch.true, mismatch.wrong))
    steps = difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes()
    parts = [(a[i:j], b[k:m]) for tag, i, j, k, m in steps if tag != "equal"]
    return {word for was, now in parts for word in (*was, *now)}


def spoken(tables):
    text = " ".join(phrase for table in tables for phrase in table["train"])
    return set(re.findall(r"[\w'-]+", text.lower()))


NAMES = {*SHAPES, *(name for kinds in PROPS.values() for name in kinds)}
MAY_CHANGE = {
    "color": {*COLORS, "a", "an"},
    "count": set(NUMBERS),
    "manner": spoken(wordings.TEMPO.values()),
    "time": spoken(surroundings.TIME.values()),
    "place": {*COLORS, "a", "an", *spoken(surroundings.PLACES.values())},
    "actor": {"a", "an", *(w for n in NAMES for one in (n, plural(n)) for w in one.split())},
}


def test_a_mismatch_differs_from_the_truth_in_words_of_its_fact_alone():
    seen = Counter()
    for scene in scenes("train", 400):
        for mismatch in mismatches(scene):
            words = changed_words(mismatch)
            assert words, mismatch
            assert words <= MAY_CHANGE.get(mismatch.kind, words), mismatch
            seen[mismatch.kind] += 1
    assert set(seen) == {*MAY_CHANGE, "direction", "order", "negation"}
    assert min(seen.values()) > 8


def test_a_mismatch_of_direction_or_order_is_told_of_the_same_things():
    for scene in scenes("train", 200):
        one_shot = len(scene.shots) == 1
        for mismatch in mismatches(scene):
            if mismatch.kind == "direction" or (mismatch.kind == "order" and one_shot):
                texts = (mismatch.true, mismatch.wrong)
                told = [{n for n in NAMES if re.search(rf"\b({n}|{plural(n)})\b", t.lower())}
                        for t in texts]  # fmt: skip
                assert told[0] == told[1] != set(), mismatch


def test_a_mismatch_of_direction_tells_the_opposite_event():
    told = 0
    for kind in ("move_left", "move_up", "turn_clockwise", "light_on"):
        for scene in scenes_of(kind, count=40):
            for mismatch in mismatches(scene):
                if mismatch.kind == "direction" and len(scene.events) == 1:
                    said = SAYS[EVENTS[kind].opposite]
                    assert re.search(said, plainly(mismatch.wrong)), mismatch
                    told += 1
    assert told > 50


def test_a_wrong_denial_denies_what_is_shown_and_a_right_one_does_not():
    for scene in scenes("train", 200):
        names = [actor.thing.name for shot in scene.shots for actor in shot.actors]
        (found,) = [m for m in mismatches(scene) if m.kind == "negation"]
        true, right = found.true.rsplit(". ", 1)
        told, wrong = found.wrong.rsplit(". ", 1)
        assert true == told
        assert scene.absent in right
        assert any(re.search(rf"\b{name}\b", wrong) for name in names)


def test_a_street_lamp_is_never_called_a_lamp_to_be_wrong():
    swaps = set()
    for scene in scenes_of("light_on", "light_off"):
        change = changes(scene, np.random.default_rng(scene.seed)).get("actor")
        if change is not None:
            swaps.add((change.before.name, change.after.name))
    assert ("lamp", "street lamp") in swaps and ("street lamp", "lantern") in swaps
    assert ("street lamp", "lamp") not in swaps


@pytest.mark.parametrize("split", SPLITS)
def test_absence_denies_what_is_absent_and_its_denial_claims_it(split):
    for scene in scenes(split, 80):
        names = {actor.thing.name for shot in scene.shots for actor in shot.actors}
        assert scene.absent and scene.absent not in names
        for number in range(6):
            no, yes = (absence(scene, number, true=true) for true in (True, False))
            assert scene.absent.lower() in no.lower()
            assert re.search(r"\b(no|not|nowhere|isn't|never|can't|cannot)\b", no.lower()), no
            assert not re.search(r"\b(no|not|nowhere|isn't|never|can't|cannot)\b", yes.lower()), yes
            told = negated_caption(scene, number)
            assert told == f"{caption(scene, number)} {no}"


def test_answers_are_true_and_stand_anywhere_among_the_options():
    places = Counter()
    kinds = set()
    for scene in scenes("train", 400):
        things = [actor.thing for shot in scene.shots for actor in shot.actors]
        for question in questions(scene):
            kinds.add(question.kind)
            assert question.options[question.right] == question.answer
            assert 2 <= len(question.options) == len(set(question.options)) <= 4
            if len(question.options) == 4:
                places[question.right] += 1
            if question.kind == "color":
                named = [t for t in things if t.color == question.answer]
                assert any(plural(t.name) in question.question or t.name in question.question
                           for t in named)  # fmt: skip
            if question.kind == "count":
                counted = [t for t in things if plural(t.name) in question.question]
                assert question.answer in {NUMBERS[t.count] for t in counted}
            if question.kind == "time":
                assert scene.shots[0].background.time in question.answer
    assert len(kinds) >= 11
    assert min(places[n] for n in range(4)) > 0.8 * sum(places.values()) / 4


def test_yes_and_no_are_right_about_equally_often():
    answers = Counter(
        question.answer
        for scene in scenes("train", 400)
        for question in questions(scene)
        if set(question.options) == {"yes", "no"}
    )
    assert 0.8 < answers["yes"] / answers["no"] < 1.25
