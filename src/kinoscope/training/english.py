"""English word forms: articles, verbs that agree, participles, sentences."""

import re
from typing import Literal

Form = Literal["present", "progressive", "participle"]

_VOWEL_SOUND = re.compile(r"^(?:[aeio]|u(?!n[ai]|s[aeiu]|kul)|8|hour)", re.IGNORECASE)


def _words(text: str) -> list[str]:
    return text.split()


_DOUBLING = frozenset(
    _words("""
    beg begin bob bud chop clap clip cut dig dim dip drag drop flip get grab grin grip hit
    hop hug hum jog knit knot let level mop nod pat pet pin plan plug pop prop put rap rip
    rot rub run scrub set shed shovel shred shut sip sit skip slam slip slit slot snap spin spit
    split squat step stir stop strap strip submit swim tap thin tip trap trim trot tug
    unclip unknot unpin unplug unravel unstrap unwrap unzip wet whip whiz win wrap zip
    """)
)
_IRREGULAR = dict(
    entry.split("=")
    for entry in _words("""
    be=been beat=beaten become=become begin=begun bend=bent bleed=bled blow=blown
    break=broken bring=brought build=built burst=burst buy=bought cast=cast catch=caught
    come=come creep=crept cut=cut deal=dealt dig=dug do=done draw=drawn drink=drunk
    drive=driven eat=eaten fall=fallen feed=fed find=found fling=flung fly=flown
    freeze=frozen get=got give=given go=gone grow=grown hang=hung have=had hide=hidden
    hit=hit hold=held keep=kept kneel=knelt knit=knitted lay=laid leave=left lend=lent
    let=let lie=lain light=lit lose=lost make=made meet=met mow=mown overtake=overtaken
    pay=paid put=put read=read ride=ridden rise=risen run=run say=said see=seen sell=sold
    set=set sew=sewn shake=shaken shed=shed shoot=shot show=shown shrink=shrunk shut=shut
    sing=sung sink=sunk sit=sat sleep=slept slide=slid slit=slit speak=spoken speed=sped
    spend=spent spin=spun spit=spat split=split spread=spread stand=stood stick=stuck
    strew=strewn strike=struck sweep=swept swell=swollen swim=swum swing=swung take=taken
    tear=torn throw=thrown undo=undone unwind=unwound wake=woken wet=wet win=won wind=wound
    withdraw=withdrawn write=written
    """)
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
