"""Answers in words that were given before: who asks the same again gets the same, at once."""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from kinoscope.answer import Answer

_LOCKS = 64  # far more than questions may wait: two rarely share one


class Remembered:
    """Answers by what was asked of what, in memory; the longest unused are forgotten."""

    def __init__(self, most: int) -> None:
        """Remembers `most` answers."""
        self._most = most
        self._answers: OrderedDict[Hashable, Answer] = OrderedDict()
        self._lock = threading.Lock()
        self._asking = [threading.Lock() for _ in range(_LOCKS)]

    def known(self, asked: Iterable[Hashable]) -> dict[Hashable, Answer]:
        """Those that are remembered."""
        with self._lock:
            found = {each: self._answers[each] for each in asked if each in self._answers}
            for each in found:
                self._answers.move_to_end(each)
            return found

    def keep(self, answers: Mapping[Hashable, Answer]) -> None:
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
