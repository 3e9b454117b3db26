"""A Qdrant server beside an index: vectors are written to it, and candidates asked of it."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from kinoscope.errors import IndexFault, UsageError
from kinoscope.index.derived import Derived
from kinoscope.index.mapped import blocks
from kinoscope.index.vectors import Among, StoredSearcher
from kinoscope.libraries import imported
from kinoscope.types import Float32, Int64

INSTALL = "pip install 'kinoscope[qdrant]'"
KEY = "QDRANT_API_KEY"
"""Variable of the environment: an argument would be seen by all users of the machine."""

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TIMEOUT_S = 60
_POINTS = 256  # that are sent at once
_FILTERED = {"video": "integer", "moment": "bool", "whole": "bool"}


class Qdrant:
    """Where the vectors of an index lie on a Qdrant server: a collection for each state of it.

    `name` is an alias of the last state that was written whole: other tools read it there. A point
    has the clip's number, and `video`, `moment`, `whole`, `scale`, `start_s`, `end_s`, `path`.
    """

    def __init__(self, client: Any, name: str) -> None:
        """`client` is a `QdrantClient`; `UsageError` for a name that may not be one."""
        if not _NAME.fullmatch(name):
            raise UsageError(f"collection {name!r}: use up to 64 letters, digits, - and _")
        self.client, self.name = client, name

    @classmethod
    def at(cls, address: str) -> "Qdrant":
        """`http://HOST:6333/NAME`; the server's key is read from $QDRANT_API_KEY.

        Raises `UsageError` for another form, `SetupError` without the extra `[qdrant]`.
        """
        parts = urlsplit(address)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise UsageError(f"Qdrant at {address!r}: write http://HOST:6333/COLLECTION")
        client = imported("qdrant_client", INSTALL).QdrantClient(
            url=f"{parts.scheme}://{parts.netloc}",
            api_key=os.environ.get(KEY) or None,
            timeout=_TIMEOUT_S,
            check_compatibility=False,
        )
        return cls(client, parts.path.strip("/"))

    def push(
        self,
        derived: Derived,
        *,
        shards: int = 1,
        replicas: int = 1,
        progress: Callable[[int], None] = lambda _points: None,
    ) -> int:
        """Writes all clips of a state, then gives them the name; returns how many there are.

        A collection that is half written is never found under the name, and is begun anew. Those
        of earlier states are deleted at the end. `progress` is told how many points are written.
        Raises `IndexFault` if the server does not do it.
        """
        catalog, state = derived.catalog, self._state_of(derived)
        with self._faults():
            if not self._is_whole(derived):
                self.client.delete_collection(state)
                self._create(state, catalog.vectors_ND.shape[1], shards, replicas)
                for points in _points(derived):
                    self.client.upsert(state, points, wait=True)
                    progress(points[-1].id + 1)
                if not self._is_whole(derived):
                    raise IndexFault(f"Qdrant took some of {state} only: export the index again")
            self._rename(state)
        return len(catalog.vectors_ND)

    def searching(self, derived: Derived) -> Derived:
        """The same state, whose nearest rows are asked of the server and ranked by true vectors.

        Raises `IndexFault` if the server does not answer, or has another state.
        """
        with self._faults():
            if not self._is_whole(derived):
                raise IndexFault(
                    f"collection {self.name} is not of this index as it is now: write it again"
                    " with `kinoscope index export`"
                )
        return replace(
            derived, searcher=StoredSearcher(derived.catalog.vectors_ND, _Asked(self, derived), 0)
        )

    def nearest(
        self, state: str, queries_QD: Float32, wanted: int, among: Among | None
    ) -> list[Int64]:
        """See `Candidates.nearest`; of the collection that is named."""
        models = imported("qdrant_client.models", INSTALL)
        params = models.SearchParams(hnsw_ef=wanted)
        requests = [
            models.QueryRequest(
                query=query_D.tolist(), limit=wanted, filter=_filter(models, among), params=params
            )
            for query_D in queries_QD
        ]
        with self._faults():
            answers = self.client.query_batch_points(state, requests)
        return [np.array([point.id for point in each.points], np.int64) for each in answers]

    def _state_of(self, derived: Derived) -> str:
        return f"{self.name}--{hashlib.sha256(derived.stamp.encode()).hexdigest()[:16]}"

    def _is_whole(self, derived: Derived) -> bool:
        state = self._state_of(derived)
        if not self.client.collection_exists(state):
            return False
        return bool(self.client.count(state, exact=True).count == len(derived.catalog.vectors_ND))

    def _create(self, state: str, dimension: int, shards: int, replicas: int) -> None:
        """Vectors on disk, a byte a number of them in memory; columns that filters ask of."""
        models = imported("qdrant_client.models", INSTALL)
        scalar = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
        self.client.create_collection(
            state,
            vectors_config=models.VectorParams(
                size=dimension, distance=models.Distance.DOT, on_disk=True
            ),
            quantization_config=models.ScalarQuantization(scalar=scalar),
            shard_number=shards,
            replication_factor=replicas,
        )
        for field, kind in _FILTERED.items():
            self.client.create_payload_index(state, field, field_schema=kind)

    def _rename(self, state: str) -> None:
        """The alias moves in one step; then other states go."""
        models = imported("qdrant_client.models", INSTALL)
        alias = models.CreateAlias(collection_name=state, alias_name=self.name)
        self.client.update_collection_aliases([models.CreateAliasOperation(create_alias=alias)])
        for other in self.client.get_collections().collections:
            if other.name != state and re.fullmatch(rf"{self.name}--[0-9a-f]{{16}}", other.name):
                self.client.delete_collection(other.name)

    @contextmanager
    def _faults(self) -> Iterator[None]:
        """What the server, or the way to it, says, as one sentence."""
        api = imported("qdrant_client.http.exceptions", INSTALL).ApiException
        try:
            yield
        except (api, OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise IndexFault(
                f"Qdrant does not serve {self.name} ({reason}): check that it runs, its address"
                f" and ${KEY}"
            ) from error


class _Asked:
    """One state of an index on the server, see `Candidates`."""

    def __init__(self, target: Qdrant, derived: Derived) -> None:
        self._target, self._state = target, target._state_of(derived)

    def nearest(self, queries_QD: Float32, wanted: int, among: Among | None) -> list[Int64]:
        return self._target.nearest(self._state, queries_QD, wanted, among)


def _filter(models: Any, among: Among | None) -> Any:
    """What is asked of the columns of a point; None asks nothing."""
    if among is None:
        return None
    wanted = [models.FieldCondition(key=among.kind, match=models.MatchValue(value=True))]
    if (listed := among.listed()) is not None:
        allowed, videos = listed
        match = models.MatchAny(any=videos) if allowed else models.MatchExcept(**{"except": videos})
        wanted.append(models.FieldCondition(key="video", match=match))
    return models.Filter(must=wanted)


def _points(derived: Derived) -> Iterator[list[Any]]:
    """All clips in order, so many at a time."""
    models = imported("qdrant_client.models", INSTALL)
    first = 0
    for block in blocks(derived.catalog.vectors_ND, _POINTS):
        yield [
            models.PointStruct(id=row, vector=vector_D.tolist(), payload=_payload(derived, row))
            for row, vector_D in enumerate(block, start=first)
        ]
        first += len(block)


def _payload(derived: Derived, row: int) -> dict[str, object]:
    catalog = derived.catalog
    video = int(catalog.video_N[row])
    return {
        "video": video,
        "moment": bool(catalog.moment_N[row]),
        "whole": bool(catalog.whole_N[row]),
        "scale": catalog.scales[catalog.scale_N[row]],
        "start_s": float(catalog.start_s_N[row]),
        "end_s": float(catalog.end_s_N[row]),
        "path": catalog.paths[catalog.paths_of(video)[0]],
    }
