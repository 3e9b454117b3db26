"""Answers in words that were given before: who asks the same again gets the same, at once."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from kinoscope.answer import Answer

_LOCKS = 64  # far more than questions may wait: two rarely share one


class Remembered:
    """Answers by names of what was asked of what, in memory; the longest unused are forgotten."""

    def __init__(self, most: int) -> None:
        """Remembers `most` answers."""
        self._most = most
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._lock = threading.Lock()
        self._asking = [threading.Lock() for _ in range(_LOCKS)]

    def known(self, names: Iterable[str]) -> dict[str, Answer]:
        """Those that are remembered."""
        with self._lock:
            found = {name: self._answers[name] for name in names if name in self._answers}
            for name in found:
                self._answers.move_to_end(name)
            return found

    def keep(self, answers: Mapping[str, Answer]) -> None:
        """Remembers more."""
        with self._lock:
            self._answers.update(answers)
            while len(self._answers) > self._most:
                self._answers.popitem(last=False)

    @contextmanager
    def asking(self, question: Hashable) -> Iterator[None]:
        """One at a time asks the same question: the next finds it answered."""
        with self._asking[hash(question) % _LOCKS]:
            yield
