"""Ctrl-C and SIGTERM as a wish, so that a run ends between two steps with a checkpoint."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Wish:
    """Whether the run was asked to stop."""

    asked = False


@contextmanager
def stop_wishes() -> Iterator[Wish]:
    """Turns the first Ctrl-C or SIGTERM into a wish; a second one acts as usual.

    Outside the main thread, where Python hears no signals, nothing is ever asked.
    """
    wish = Wish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def hear(_number: int, _frame: FrameType | None) -> None:
        wish.asked = True
        restore()

    for number in _SIGNALS:
        signal.signal(number, hear)
    try:
        yield wish
    finally:
        restore()
