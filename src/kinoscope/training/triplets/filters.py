"""Filters for noise known from published triplets: mark-up, flipped directions, moved objects."""

import re

from kinoscope.training.sources.problems import Unfit
from kinoscope.training.triplets.matching import find
from kinoscope.training.triplets.triplet import Triplet

_MARKUP = re.compile(
    r"</?[a-z!][^>]*>|&(?:[a-z]+|#\d+);"  # HTML
    r"|\*\*|__|`|^\s*#{1,6}\s|^\s*[-*•]\s|^\s*\d+[.)]\s|\]\(|^\s*>"  # Markdown
    r"|<\|[^|>]*\|>|\[/?(?:INST|SYS|object|verb|noun|name)\]|\{[^}]*\}|\\[nt\"]"  # models, JSON
    r"|^\s*(?:sure|certainly|of course|okay|ok)[,!]"
    r"|^\s*here(?: is|'s| are) (?:the|a|an|your|my|some)\b[^.]*:"
    r"|^\s*(?:caption|positive|negative|anchor|output|answer|sentence|rewritten(?: caption)?"
    r"|edited caption|hard negative|paraphrase|note|premise|hypothesis)(?: \d+)?\s*:"
    r"|\bas an ai\b|[\r\n\t]",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"^\s*[\"“].*[\"”]\s*$")
_INWARDS = re.compile(r"\bin\b(?=\s*(?:[.,;!]|and\b|$))")
_WORDS = re.compile(r"[a-z]+")
_DIRECTIONS = (
    ({"left", "leftward", "leftwards"}, {"right", "rightward", "rightwards"}),
    ({"up", "upward", "upwards"}, {"down", "downward", "downwards"}),
    ({"into", "inwards"}, {"out"}),
    ({"onto"}, {"off"}),
    ({"towards", "toward"}, {"away"}),
    ({"forward", "forwards"}, {"backward", "backwards"}),
    ({"clockwise"}, {"counterclockwise", "anticlockwise"}),
)


def has_markup(sentence: str) -> bool:
    """Whether it holds HTML, Markdown, JSON, or what a language model says around an answer."""
    return bool(_MARKUP.search(sentence) or _QUOTED.match(sentence))


def flips_direction(anchor: str, positive: str) -> bool:
    """Whether a positive undoes what the anchor does, or goes the other way."""
    one, other = find(anchor), find(positive)
    if one is not None and other is not None:
        if one.opposed(other):
            return True
        if one.same_action(other):  # its particle is no direction: `puts on` is `slips into`
            return False
    mine, theirs = map(_directions, (anchor, positive))
    return any(
        _only(mine, here, there) and _only(theirs, there, here)
        for pair in _DIRECTIONS
        for here, there in (pair, pair[::-1])
    )


def moves_object(anchor: str, positive: str) -> bool:
    """Whether both do the same to the same thing in two places that are both named."""
    one, other = find(anchor), find(positive)
    if one is None or other is None or not one.same_action(other):
        return False
    return (
        same_noun(one.object, other.object)
        and bool(one.place and other.place)
        and not same_noun(one.place, other.place)
    )


def changes_object(anchor: str, positive: str) -> bool:
    """Whether both do the same to two different things."""
    one, other = find(anchor), find(positive)
    if one is None or other is None or not one.same_action(other):
        return False
    return bool(one.object and other.object) and not same_noun(one.object, other.object)


def same_noun(one: str, other: str) -> bool:
    """Whether two words are one noun, in the singular or the plural."""
    return _singular(one) == _singular(other)


def require_clean(triplet: Triplet) -> Triplet:
    """The triplet itself; raises `Unfit` if it holds noise.

    Directions count in every part but the composed, whose edit may turn them; changed objects in
    those that are about actions: of two general sentences one may name a kind, the other a thing.
    """
    texts = (triplet.anchor, triplet.edit, triplet.positive, triplet.negative)
    marked = next((text for text in texts if has_markup(text)), None)
    if marked is not None:
        raise Unfit("markup", f"{marked[:80]!r} holds mark-up: write the sentence alone")
    if triplet.part == "composed":
        return triplet
    both = f"{triplet.anchor[:80]!r} / {triplet.positive[:80]!r}"
    if flips_direction(triplet.anchor, triplet.positive):
        raise Unfit("flipped", f"the positive goes the other way: {both}")
    if moves_object(triplet.anchor, triplet.positive):
        raise Unfit("moved", f"the object is in two places: {both}")
    if triplet.part in ("time", "direction") and changes_object(triplet.anchor, triplet.positive):
        raise Unfit("moved", f"the positive has another object: {both}")
    return triplet


def _directions(text: str) -> set[str]:
    """Its words; `in` counts as `inwards` where no place follows: `walks in`, not `in a park`."""
    return set(_WORDS.findall(_INWARDS.sub("inwards", text.casefold())))


def _only(words: set[str], wanted: set[str], against: set[str]) -> bool:
    return bool(words & wanted) and not words & against


def _singular(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ses", "xes", "ches", "shes")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word
