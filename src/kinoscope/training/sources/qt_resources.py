"""Files inside a compiled Qt resource file (`.rcc`), the form in which GCompris ships pictures."""

import struct

from kinoscope.errors import SetupError

_FOLDER, _COMPRESSED = 2, 1 | 4
_DEEPEST = 64


def qt_resources(data: bytes) -> dict[str, bytes]:
    """Content by path, without a leading slash; files that Qt has compressed are left out.

    The layout is that of Qt 5 and 6, `qres` versions 1 to 3: a tree of entries of 14 or 22 bytes,
    names in UTF-16, contents behind their lengths, all big-endian.
    Raises `SetupError` for another layout or offsets that lead out of the file.
    """
    try:
        magic, version, tree, contents, names = struct.unpack_from(">4s4I", data)
        if magic != b"qres" or not 1 <= version <= 3:
            raise SetupError(f"{magic!r} {version} is no Qt resource file: fetch it again")
        reader = _Reader(data, tree, contents, names, 14 if version == 1 else 22)
        reader.walk(0, "", 0)
    except (struct.error, UnicodeDecodeError) as error:
        raise SetupError(f"a Qt resource file is damaged ({error}): fetch it again") from error
    return reader.found


class _Reader:
    def __init__(self, data: bytes, tree: int, contents: int, names: int, entry: int) -> None:
        self._data, self._tree, self._contents = data, tree, contents
        self._names, self._entry = names, entry
        self._left = len(data) // entry  # a file has no room for more entries: no endless circle
        self.found: dict[str, bytes] = {}

    def walk(self, number: int, folder: str, depth: int) -> None:
        """Gathers an entry, and what is below it."""
        self._left -= 1
        if self._left < 0 or depth > _DEEPEST:
            raise SetupError("a Qt resource file leads in a circle: fetch it again")
        place = self._tree + number * self._entry
        name, flags = struct.unpack_from(">IH", self._data, place)
        path = f"{folder}/{self._name(name)}".lstrip("/") if number else ""
        if flags & _FOLDER:
            count, first = struct.unpack_from(">II", self._data, place + 6)
            for child in range(first, first + count):
                self.walk(child, path, depth + 1)
        elif not flags & _COMPRESSED:
            self.found[path] = self._content(struct.unpack_from(">I", self._data, place + 10)[0])

    def _name(self, offset: int) -> str:
        (length,) = struct.unpack_from(">H", self._data, self._names + offset)
        first = self._names + offset + 6  # behind the length, a hash
        return self._data[first : first + 2 * length].decode("utf-16-be")

    def _content(self, offset: int) -> bytes:
        first = self._contents + offset
        (length,) = struct.unpack_from(">I", self._data, first)
        if first + 4 + length > len(self._data):
            raise SetupError("a Qt resource file is cut off: fetch it again")
        return self._data[first + 4 : first + 4 + length]
