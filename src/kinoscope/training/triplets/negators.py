"""Which sentences negate a claim in so many words; antonyms do not count."""

import re

NEGATORS = (
    *("no", "not", "n't", "none", "never", "nobody", "nothing", "nowhere", "neither", "nor"),
    "without",
)

_WORD = re.compile(r"[a-z]+n't\b|n't\b|[a-z]+")
_NO_NEGATION = re.compile(
    r"\b(?:not only|not just|no doubt|without doubt|without a doubt|no matter|nothing but"
    r"|or not|no sooner|why not|nothing less than|no\. \d+|no less than)\b"
)
"""Phrases with a negator that deny nothing."""


def negators_in(sentence: str) -> tuple[str, ...]:
    """The negators of a sentence, in their order; `no one` and `cannot` are among them."""
    text = sentence.casefold().replace("’", "'").replace("cannot", "can not")
    found = (
        "n't" if word.endswith("n't") else word
        for word in _WORD.findall(_NO_NEGATION.sub(" ", text))
    )
    return tuple(word for word in found if word in NEGATORS)


def denies(negative: str, anchor: str, positive: str) -> bool:
    """Whether a hard negative negates explicitly what the two others say without a negator."""
    return bool(negators_in(negative)) and not negators_in(anchor) and not negators_in(positive)
