"""Feature arrays in one growing file with an index beside it: whole entries or none, after a kill.

`features.bin` holds the bytes, `index.jsonl` a line for each entry that is complete. Bytes are
written before their line, by one process at a time; any number may read meanwhile.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from kinoscope.durable import flush
from kinoscope.types import Features, UInt8

_BYTES, _INDEX, _LOCK = "features.bin", "index.jsonl", "write.lock"
_PLAIN = "fiub"
"""Kinds of numbers that are kept; never objects, which would be pickled."""
_TIME_BYTES = 8
_DTYPE = re.compile("[<>|=][fiub][0-9]{1,2}")


class Full(Exception):
    """One more entry would pass the bound."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Where the bytes of one item lie: its times, then its values."""

    item: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def size_bytes(self) -> int:
        """Of times and values."""
        values_bytes = math.prod(self.shape) * np.dtype(self.dtype).itemsize
        return self.shape[0] * _TIME_BYTES + values_bytes

    @classmethod
    def parse(cls, line: bytes) -> "Entry | None":
        """The reverse of `line`; None for anything else."""
        try:
            values = json.loads(line)
            found = cls(**{**values, "shape": tuple(values["shape"])})
            if not _DTYPE.fullmatch(found.dtype):  # NumPy would run more than a name
                return None
            kind = np.dtype(found.dtype).kind
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        counts = (found.offset, *found.shape)
        good = all(type(count) is int and count >= 0 for count in counts)
        texts = isinstance(found.item, str) and isinstance(found.sha256, str)
        return found if good and texts and found.shape and kind in _PLAIN else None

    def line(self) -> bytes:
        """One line of the index."""
        return json.dumps(asdict(self)).encode() + b"\n"


class Entries:
    """The entries of one folder. `damaged` counts those that were not what had been written."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._most_bytes = folder, max_bytes
        self._known: dict[str, Entry] = {}
        self._read_to = 0
        self._end = 0
        self.damaged = 0

    @property
    def size_bytes(self) -> int:
        """Of all entries."""
        return self._end

    def __contains__(self, item: str) -> bool:
        if item not in self._known:
            self._read_index()
        return item in self._known

    def get(self, item: str) -> Features | None:
        """What was put, bit for bit; None if nothing was, or if it is damaged."""
        if item not in self:
            return None
        entry = self._known[item]
        data_N = self._bytes(entry)
        if data_N is None:
            self.damaged += 1
            del self._known[item]
            return None
        edge = entry.shape[0] * _TIME_BYTES
        values_F = data_N[edge:].view(entry.dtype).reshape(entry.shape)
        return Features(values_F, data_N[:edge].view(np.float64))

    def put(self, item: str, features: Features) -> None:
        """Adds an entry that is not there. Raises `Full`, or `OSError` when the disk refuses."""
        values_F = np.ascontiguousarray(features.values_F)
        assert values_F.dtype.kind in _PLAIN, values_F.dtype
        data = features.times_F.tobytes() + values_F.tobytes()
        self._folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self._folder / _LOCK):
            self._read_index()
            if item in self._known:
                return
            if self._end + len(data) > self._most_bytes:
                raise Full
            entry = Entry(
                item=item,
                offset=self._end,
                dtype=values_F.dtype.str,
                shape=values_F.shape,
                sha256=hashlib.sha256(data).hexdigest(),
            )
            self._write(entry, data)
            self._learn(entry)

    def flush(self) -> None:
        """Waits until all entries are on the disk."""
        for name in (_BYTES, _INDEX):
            if (self._folder / name).exists():
                flush(self._folder / name)

    def _write(self, entry: Entry, data: bytes) -> None:
        """Behind the last whole entry: what a kill left there belongs to no line of the index."""
        place = self._folder / _BYTES
        place.touch()
        with place.open("r+b") as stream:
            stream.seek(entry.offset)
            stream.write(data)
        line = entry.line()
        index = self._folder / _INDEX
        index.touch()
        with index.open("r+b") as stream:
            stream.seek(self._read_to)
            try:
                stream.write(line)
                stream.truncate()
                stream.flush()
            except OSError:
                os.truncate(index, self._read_to)
                raise
        self._read_to += len(line)

    def _read_index(self) -> None:
        """Takes in the whole lines that are new; half a line is not there yet."""
        index = self._folder / _INDEX
        size = index.stat().st_size if index.exists() else 0
        if size < self._read_to:  # someone emptied the folder
            self._known.clear()
            self._read_to = self._end = 0
        if size == self._read_to:
            return
        with index.open("rb") as stream:
            stream.seek(self._read_to)
            whole, _, _ = stream.read().rpartition(b"\n")
        there = self._bytes_there()
        for line in whole.split(b"\n") if whole else ():
            entry = Entry.parse(line)
            if entry is None or entry.offset + entry.size_bytes > there:
                self.damaged += 1  # bytes come before their line: this one is not ours
            else:
                self._learn(entry)
        self._read_to += len(whole) + 1 if whole else 0

    def _learn(self, entry: Entry) -> None:
        self._known[entry.item] = entry
        self._end = max(self._end, entry.offset + entry.size_bytes)

    def _bytes(self, entry: Entry) -> UInt8 | None:
        """None unless they are those of the entry. Of memory that may be written, as torch asks."""
        data_N = np.empty(entry.size_bytes, np.uint8)
        try:
            with (self._folder / _BYTES).open("rb") as stream:
                stream.seek(entry.offset)
                if stream.readinto(data_N.data) != entry.size_bytes:
                    return None
        except FileNotFoundError:
            return None
        same = hashlib.sha256(data_N.data).hexdigest() == entry.sha256
        return data_N if same else None

    def _bytes_there(self) -> int:
        place = self._folder / _BYTES
        return place.stat().st_size if place.exists() else 0


def write_note(folder: Path, content: Mapping[str, Any]) -> None:
    """Says for people what a folder of entries is of."""
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".about.{os.getpid()}.part"
    draft.write_text(json.dumps(dict(content), indent=1) + "\n")
    draft.replace(folder / "about.json")
