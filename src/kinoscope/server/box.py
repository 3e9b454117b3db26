"""What a person writes into the search box: words to find and, behind a minus, words to avoid."""

import re

_PIECE = re.compile(r'-"(?P<phrase>[^"]*)"|(?P<word>\S+)')


def read_box(text: str) -> tuple[str | None, tuple[str, ...]]:
    """`a park -dog -"red car"` -> `a park` and (`dog`, `red car`); a lone `-` is a word.

    Words are None where only words to avoid are written.
    """
    wanted, avoided = [], []
    for piece in _PIECE.finditer(text):
        phrase, word = piece["phrase"], piece["word"]
        if phrase is None and not re.match(r"-[^-\s]", word):
            wanted.append(word)
        elif (said := (word[1:] if phrase is None else phrase).strip()) and said not in avoided:
            avoided.append(said)
    return " ".join(wanted) or None, tuple(avoided)
