"""What an embedder said before, on disk: vectors, windows, words, scores; whole or not at all."""

import hashlib
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from kinoscope.errors import MediaError
from kinoscope.index.identity import content_id
from kinoscope.index.scan import FoundFile
from kinoscope.packages import cache_folder
from kinoscope.training.sources.entries import Entries, Full, write_note
from kinoscope.types import ClipEmbeddings, EmbedderSpec, Features, Float32, Float64, Span, UInt8

_EDITION = "evaluation-1"
_MAX_BYTES = 20 * 2**30
_UNIT = 1e-4


class Kept:
    """Entries of one embedder, by its spec; a folder that several processes may share.

    What was asked is named by `item`: by its content, never by where it lies. An entry that is not
    as it was written counts as absent. When the disk or the bound is full it warns once, and keeps
    nothing more.
    """

    def __init__(
        self, spec: EmbedderSpec, folder: Path | None = None, *, max_bytes: int = _MAX_BYTES
    ) -> None:
        """`folder` is for any embedders, each has one of its own in it; by default of the cache."""
        self.folder = (folder or cache_folder() / "evaluation") / f"{_EDITION}-{spec.fingerprint}"
        self._spec, self._writes = spec, True
        self._entries = Entries(self.folder, max_bytes)

    @property
    def damaged(self) -> int:
        """Entries that were not as written."""
        return self._entries.damaged

    def vector(self, item: str) -> Float32 | None:
        """Unit vector [D]."""
        found = self._get(item)
        if found is None or found.shape != (1, self._spec.dimension) or found.dtype != np.float32:
            return None
        return np.asarray(found[0]) if _is_unit(found) else None

    def keep_vector(self, item: str, vector_D: Float32) -> None:
        """Keeps it until the folder is emptied."""
        self._put(item, vector_D[None])

    def windows(self, item: str) -> ClipEmbeddings | None:
        """Vectors of a video and its windows."""
        told = self._get(item)
        head, _, data = (b"" if told is None else told.tobytes()).partition(b"\n")
        try:
            known = json.loads(head)
            vectors_ND = np.frombuffer(data, np.float32).reshape(-1, self._spec.dimension).copy()
            spans = tuple(Span(*pair) for pair in known["spans"])
            steps, reasons = tuple(known["steps"]), tuple(known["reasons"])
            scales = tuple(known["scales"])
        except (ValueError, TypeError, KeyError):
            return None
        if not _is_unit(vectors_ND) or not len(vectors_ND) == len(spans) == len(scales):
            return None
        return ClipEmbeddings(spans, scales, vectors_ND, steps, reasons)

    def keep_windows(self, item: str, found: ClipEmbeddings) -> None:
        """Spans bit for bit, for JSON tells all digits of a float."""
        head = {
            "spans": [[span.start_s, span.end_s] for span in found.spans],
            "scales": found.scales,
            "steps": found.steps,
            "reasons": found.reasons,
        }
        self._put(item, _bytes(json.dumps(head).encode() + b"\n" + found.vectors_ND.tobytes()))

    def words(self, item: str) -> str | None:
        """An answer."""
        told = self._get(item)
        try:
            return None if told is None else told.tobytes().decode()[1:]
        except UnicodeDecodeError:
            return None

    def keep_words(self, item: str, answer: str) -> None:
        """Also one of no words."""
        self._put(item, _bytes(b"=" + answer.encode(errors="replace")))

    def scores(self, item: str, count: int) -> Float64 | None:
        """So many numbers [K], such as likelihoods of options."""
        found = self._get(item)
        if found is None or found.shape != (1, count) or found.dtype != np.float64:
            return None
        scores_K = np.asarray(found[0], np.float64)
        return scores_K if np.isfinite(scores_K).all() else None

    def keep_scores(self, item: str, scores_K: Float64) -> None:
        """Bit for bit."""
        self._put(item, scores_K[None])

    def flush(self) -> None:
        """Waits until all entries are on the disk."""
        self._entries.flush()

    def _get(self, item: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None":
        try:
            found = self._entries.get(item)
        except OSError as error:
            self._give_up(f"{self.folder} cannot be read ({error.strerror})")
            return None
        return None if found is None else found.values_F

    def _put(self, item: str, values_F: Float32 | Float64 | UInt8) -> None:
        if not self._writes:
            return
        try:
            if not (self.folder / "about.json").exists():
                write_note(self.folder, {"edition": _EDITION, **asdict(self._spec)})
            self._entries.put(item, Features(values_F, np.zeros(1)))
        except Full:
            self._give_up(f"{self.folder} is full: delete what is no longer needed")
        except OSError as error:
            self._give_up(f"{self.folder} cannot be written ({error.strerror})")

    def _give_up(self, reason: str) -> None:
        if self._writes:
            self._writes = False
            warnings.warn(f"{reason}; going on without keeping vectors", stacklevel=4)


def item(*parts: object) -> str:
    """The name of an entry: SHA-256 of what was asked, part by part."""
    told = json.dumps(parts, default=_listed)
    return hashlib.sha256(told.encode()).hexdigest()


class Contents:
    """Identities of files by their content: the index's, whatever they are called.

    Each file is read once a run; one whose size or time of change is another is read again.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def of(self, path: Path) -> str:
        """Raises `MediaError` for a file that is gone, or cannot be read."""
        try:
            found = path.stat()
        except OSError as error:
            raise MediaError("missing", f"{path} is gone ({error.strerror}): put it back") from None
        key = (str(path.absolute()), found.st_size, found.st_mtime_ns)
        if key not in self._known:
            self._known[key] = content_id(
                FoundFile(path=key[0], size_bytes=key[1], mtime_ns=key[2])
            )
        return self._known[key]


def _is_unit(vectors_ND: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> bool:
    lengths_N = np.linalg.norm(np.asarray(vectors_ND, np.float32), axis=-1)
    return bool(len(lengths_N)) and bool(np.allclose(lengths_N, 1.0, atol=_UNIT))


def _bytes(data: bytes) -> UInt8:
    return np.frombuffer(data, np.uint8)[None]


def _listed(value: object) -> object:
    """Sequences that JSON does not know."""
    assert isinstance(value, Sequence), type(value)
    return list(value)
