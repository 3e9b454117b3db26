"""Mutants: bytes that are nearly what a parser or a decoder expects."""

import json
import random
from collections.abc import Sequence
from typing import Any

_PIECES = [
    *(b"", b"\0", b"\n", b"\r", b'"', b"'", b",", b":", b"{", b"}", b"[", b"]", b"@", b"-", b"##"),
    *(
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\xe2\x80\xa8",
        b"\t",
        b" ",
        b"=",
        b"/../",
        b"\x1a",
    ),
    *(
        b"null",
        b"true",
        b"NaN",
        b"-Infinity",
        b"1e999",
        b"-1",
        b"0",
        b"1e-320",
        b"9" * 400,
        b"9" * 5000,
    ),
    *(
        b"[" * 3000,
        b'{"a":' * 1500,
        b"a" * 5000,
        b'"' * 301,
        b"0x10",
        b"1_0",
        "１２".encode(),
        b"+5",
    ),
]
_VALUES: list[Any] = [
    *(
        None,
        True,
        False,
        0,
        -1,
        1.5,
        2**63,
        -(2**70),
        10**40,
        10**400,
        float("nan"),
        float("inf"),
        1e308,
    ),
    *("", "a", "\0", "\ud800", "../../x", "a" * 3000, "1e999", " ", [], {}, [[]], [None], {"": {}}),
    *([1, 2], [0.0, 4.0], [[0, 1], [2]], ["a", 1], {"start_s": 3, "end_s": 1}),
]


def mutant(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """One of the seeds, changed in a few places; JSON also in its values."""
    content = chance.choice(seeds)
    if chance.random() < 0.5:
        content = _with_other_value(content, chance)
    for _ in range(chance.choice((0, 1, 1, 2, 4, 8))):
        content = _changed(content, seeds, chance)
    return content


def _changed(content: bytes, seeds: Sequence[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(content) + 1)
    end = min(len(content), at + chance.choice((0, 1, 1, 2, 4, 16, 200)))
    kind = chance.randrange(6)
    if kind == 0:  # a bit
        flipped = bytes([content[at] ^ 1 << chance.randrange(8)]) if at < len(content) else b""
        return content[:at] + flipped + content[at + 1 :]
    if kind == 1:
        return content[:at] + chance.choice(_PIECES) + content[end:]
    if kind == 2:
        return content[:at] + content[end:]
    if kind == 3:
        return content[:end] + content[at:]
    if kind == 4:
        return content[:at] + chance.randbytes(end - at) + content[end:]
    other = chance.choice(seeds)
    return content[:at] + other[chance.randrange(len(other) + 1) :]


def _with_other_value(content: bytes, chance: random.Random) -> bytes:
    """The JSON, or one of its lines, with a value of another kind somewhere."""
    lines = content.split(b"\n")
    place = chance.randrange(len(lines))
    for part in (slice(0, len(lines)), slice(place, place + 1)):
        try:
            value = json.loads(b"\n".join(lines[part]))
        except (ValueError, RecursionError):
            continue
        lines[part] = [json.dumps(_spoilt(value, chance)).encode()]
        break
    return b"\n".join(lines)


def _spoilt(value: Any, chance: random.Random) -> Any:
    """A value somewhere inside is another, is gone, or comes twice."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.2:
        return chance.choice(_VALUES)
    copy = dict(value) if isinstance(value, dict) else list(value)
    key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    kind = chance.random()
    if kind < 0.15:
        del copy[key]
    elif kind < 0.25 and isinstance(copy, list):
        copy.append(copy[key])
    elif kind < 0.35 and isinstance(copy, dict):
        copy[chance.choice(("", "key", "extra", "a" * 300))] = chance.choice(_VALUES)
    else:
        copy[key] = _spoilt(copy[key], chance)
    return copy


def damaged_media(seeds: Sequence[bytes], chance: random.Random) -> bytes:
    """A media file with wrong sizes, lost and repeated parts, noise, or parts of another file."""
    content = bytearray(chance.choice(seeds))
    reach = min(len(content), chance.choice((64, 1000, 4000, len(content))))
    for _ in range(chance.choice((1, 1, 2, 4, 8, 32))):
        _damage(content, reach, seeds, chance)
    if chance.random() < 0.15:
        del content[chance.randrange(len(content) + 1) :]
    return bytes(content)


def _damage(content: bytearray, reach: int, seeds: Sequence[bytes], chance: random.Random) -> None:
    at = chance.randrange(max(1, min(reach, len(content))))
    width = chance.choice((1, 2, 4, 8, 32, 188, 500))
    kind = chance.randrange(8)
    if kind < 2 and content:
        content[at % len(content)] ^= 1 << chance.randrange(8)
    elif kind == 2:  # a size or count, as most containers write it
        number = chance.choice((0, 1, 8, 2**15, 2**31 - 1, 2**31, 2**32 - 1, len(content)))
        content[at : at + 4] = number.to_bytes(4, chance.choice(("big", "little")))
    elif kind == 3:
        content[at : at + width] = chance.randbytes(width)
    elif kind == 4:
        content[at : at + width] = bytes(width)
    elif kind == 5:
        del content[at : at + width]
    elif kind == 6:
        content[at:at] = content[at : at + width]
    else:
        other = chance.choice(seeds)
        start = chance.randrange(max(1, len(other) - width))
        content[at : at + width] = other[start : start + width]
