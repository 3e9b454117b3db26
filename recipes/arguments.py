"""Arguments of recipes, read and checked."""

import argparse
from collections.abc import Callable, Collection


def at_least(least: int) -> Callable[[str], int]:
    """Reads a whole number that is not smaller."""

    def count(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: give {least} or more")
        return int(text)

    return count


def names_of(known: Collection[str]) -> Callable[[str], list[str]]:
    """Reads some of the known names, with commas between them."""

    def names(text: str) -> list[str]:
        found = text.split(",")
        if foreign := [name for name in found if name not in known]:
            raise argparse.ArgumentTypeError(f"{foreign[0]!r}: choose {', '.join(known)}")
        return found

    return names
