"""Lessons on videos and text triplets in one run, by turns: nuance tuning mixed into a stage."""

from collections.abc import Iterable, Mapping
from typing import Any

from kinoscope.errors import UsageError
from kinoscope.training.lessons import Lessons
from kinoscope.training.nuance import Nuance
from kinoscope.training.sampler import Draw, Part
from kinoscope.training.task import Batch, Terms, Value


class Joint:
    """A `Task` with the parts of both; what learns is what the lessons say."""

    def __init__(self, lessons: Lessons, nuance: Nuance) -> None:
        """The lessons must have been made after the triplets: they then decide what is frozen.

        Raises `UsageError` if no weight of the language model learns.
        """
        self._lessons, self._nuance = lessons, nuance
        self._of_text = nuance.parts()
        learned, moved = dict(lessons.parameters()), dict(nuance.parameters())
        if not learned.keys() & moved.keys():
            raise UsageError(
                f"triplets move the language model, of which the lessons train nothing, but"
                f" {', '.join(sorted(learned)[:3])}: leave the triplets out of this stage"
            )

    def describe(self) -> Mapping[str, Value]:
        """Of both."""
        return {**self._nuance.describe(), **self._lessons.describe()}

    def parameters(self) -> Iterable[tuple[str, Any]]:
        """Those of the lessons."""
        return self._lessons.parameters()

    def parts(self) -> Mapping[str, Part]:
        """Of both; weights are shares of all."""
        return {**self._lessons.parts(), **self._of_text}

    def batch(self, draw: Draw) -> Batch:
        """Of the one that has the part; its name says later which."""
        one = self._nuance if draw.part in self._of_text else self._lessons
        made = one.batch(draw)
        return Batch((one, made), made.counts)

    def losses(self, batch: Batch, step: int) -> Terms:
        """Of the one that made the batch."""
        one, made = batch.inputs
        found: Terms = one.losses(made, step)
        return found

    def validate(self) -> Mapping[str, float]:
        """That of the lessons."""
        return self._lessons.validate()
