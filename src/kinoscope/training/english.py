"""English word forms: articles, verbs that agree, participles, sentences."""

import re
from typing import Literal

Form = Literal["present", "progressive", "participle"]

_VOWEL_SOUND = re.compile(r"^(?:[aeio]|u(?!n[ai]|s[aeiu]|kul)|8|hour)", re.IGNORECASE)
_DOUBLING = frozenset(
    """
    begin get put hop shut swim run set let drop grab skip bob split stop pop sit spin step
    zip unzip rap trot shred clip unclip plug unplug wrap unwrap trap strip pin unpin cut dig tap hug pat chop
    jog knit mop nod grin clap dip drag tug flip slip slam dim sip rip snap hum whip scrub plan
    pet beg rub stir knot unknot win trim submit spit slit whiz tip
    """.split()
)
_IRREGULAR = dict(
    entry.split("=")
    for entry in """
    be=been become=become begin=begun bend=bent blow=blown break=broken bring=brought build=built
    buy=bought catch=caught come=come cut=cut dig=dug do=done draw=drawn drink=drunk drive=driven
    eat=eaten fall=fallen feed=fed find=found fling=flung fly=flown freeze=frozen get=got
    give=given go=gone grow=grown hang=hung have=had hide=hidden hit=hit hold=held keep=kept
    kneel=knelt knit=knitted lay=laid leave=left lend=lent let=let lie=lain light=lit lose=lost
    make=made meet=met mow=mown pay=paid put=put read=read ride=ridden rise=risen run=run say=said
    see=seen sell=sold set=set sew=sewn shake=shaken show=shown shrink=shrunk shut=shut sing=sung
    sink=sunk sit=sat sleep=slept slide=slid slit=slit speak=spoken spend=spent spin=spun spit=spat
    split=split spread=spread stand=stood stick=stuck strew=strewn strike=struck sweep=swept
    swim=swum swing=swung take=taken tear=torn throw=thrown undo=undone unwind=unwound
    wake=woken win=won wind=wound withdraw=withdrawn write=written
    """.split()
)


def with_article(words: str) -> str:
    """`a` or `an` before the words, by sound."""
    an = _VOWEL_SOUND.match(words) and not words.startswith(("one ", "Eu"))
    return f"{'an' if an else 'a'} {words}"


def conjugate(verb: str, *, many: bool, form: Form) -> str:
    """A verb in the present tense: `move` -> `moves`, `is moving` or `moving`."""
    if form == "present":
        if verb == "be":
            return "are" if many else "is"
        return verb if many else _third_person(verb)
    if form == "participle":
        return "being" if verb == "be" else _participle(verb)
    return f"{'are' if many else 'is'} {'being' if verb == 'be' else _participle(verb)}"


def past_participle(verb: str) -> str:
    """`open` -> `opened`, `take` -> `taken`."""
    if verb in _IRREGULAR:
        return _IRREGULAR[verb]
    if verb.endswith("e"):
        return verb + "d"
    if _ends_in_ied(verb):
        return verb[:-1] + "ied"
    return verb + verb[-1] + "ed" if verb in _DOUBLING else verb + "ed"


def capitalized(text: str) -> str:
    """A sentence: first letter large, a full stop at the end."""
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "?", "!")) else text + "."


def _third_person(verb: str) -> str:
    if verb == "have":
        return "has"
    if verb.endswith(("s", "x", "ch", "sh", "o", "z")):
        return verb + "es"
    return verb[:-1] + "ies" if _ends_in_ied(verb) else verb + "s"


def _ends_in_ied(verb: str) -> bool:
    return verb.endswith("y") and verb[-2] not in "aeiou"


def _participle(verb: str) -> str:
    if verb in _DOUBLING:
        return verb + verb[-1] + "ing"
    if verb.endswith("ie"):
        return verb[:-2] + "ying"
    if verb.endswith("e") and not verb.endswith(("ee", "oe", "ye")):
        return verb[:-1] + "ing"
    return verb + "ing"
