"""Seconds as a person reads them."""


def clock(seconds: float) -> str:
    """75.5 -> `1:15.5`, 3661 -> `1:01:01.0`."""
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
