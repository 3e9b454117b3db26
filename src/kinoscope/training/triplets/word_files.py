"""Lines of the lexicon's plain files, by split; each error names file and line."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kinoscope.errors import UsageError
from kinoscope.training.sources.problems import Problems
from kinoscope.training.sources.rows import text_lines
from kinoscope.training.world.scene import Split

FOLDER = Path(__file__).with_name("words")
"""The files that are shipped."""

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


@dataclass(frozen=True)
class Line:
    """One line of a section `[split name]`."""

    file: Path
    where: str
    split: Split
    section: str
    text: str

    def fault(self, message: str) -> UsageError:
        """An error that names the line."""
        return UsageError(f"{self.file.name}, {self.where}: {message}")

    def cut(self, sign: str, parts: int, form: str) -> list[str]:
        """The text in exactly so many parts, none empty; `UsageError` naming the right form."""
        found = [part.strip() for part in self.text.split(sign)]
        if len(found) != parts or not all(found):
            raise self.fault(f"{self.text[:80]!r}: write {form}")
        return found


def lines_of(file: Path) -> Iterator[Line]:
    """Lines that are not blank and no remark; `UsageError` for one outside the three splits."""
    split: Split | None = None
    section = ""
    for where, text in text_lines(file, Problems(file.name, strict=True)):
        if text.startswith("#"):
            continue
        if text.startswith("["):
            named, _, section = text.strip("[] ").partition(" ")
            split = next((known for known in SPLITS if known == named), None)
        elif split is not None:
            yield Line(file, where, split, section, text)
        if split is None:
            raise UsageError(
                f"{file.name}, {where}: {text[:80]!r} is in no split: write it below"
                f" {', '.join(f'[{known}]' for known in SPLITS)}"
            )


def listed(text: str, sign: str = ";") -> tuple[str, ...]:
    """Entries between signs, empty ones left out."""
    return tuple(entry for part in text.split(sign) if (entry := " ".join(part.split())))
