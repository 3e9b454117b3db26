"""The moving average of weights: often better than the last ones, and smoother to validate."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any


class Average:
    """average <- decay average + (1 - decay) weights, after each step.

    In the first steps the decay is at most (1 + step) / (10 + step), to forget the start.
    """

    def __init__(self, parameters: Mapping[str, Any], decay: float) -> None:
        self._parameters, self._decay = parameters, decay
        self.values = {name: value.detach().clone() for name, value in parameters.items()}

    def update(self, step: int) -> None:
        """Takes the weights after `step`, counted from 1, in."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, value in self._parameters.items():
            self.values[name].lerp_(value.detach(), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average's weights inside, and its own again afterwards, bit for bit."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def _swap(self) -> None:
        for name, value in self._parameters.items():
            held = value.detach().clone()
            value.detach().copy_(self.values[name])
            self.values[name] = held
