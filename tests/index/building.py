"""What tests of building share: a run in one line, and what can be seen of an index afterwards."""

import os
from contextlib import contextmanager
from functools import partial

import psutil
import pytest

from kinoscope.index import crew
from kinoscope.index.build import BuildOptions, update
from kinoscope.index.decoding import DecodePool
from tests.index import misbehaving
from tests.index.pixels import embedder


@contextmanager
def no_decoding():
    """Makes any decoding fail the test."""

    def refuse(self, waiting):
        assert not waiting, [request.file.path for request in waiting]
        yield from ()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DecodePool, "run", refuse)
        yield


def run(store, *sources, **options):
    return update(store, sources, embedder(), options=BuildOptions(**options))


def misbehave(monkeypatch, decode=misbehaving.by_name):
    monkeypatch.setattr(crew, "DecodePool", partial(DecodePool, decode=decode))


def table(store, top):
    """`relative path -> (state, content)`."""
    return {os.path.relpath(row.path, top): (row.state, row.video_id) for row in store.files()}


def contents(store):
    """`clip_id -> (start_s, end_s, vector)` of all that is visible."""
    clips = store.clips()
    columns = (clips.clip_ids, clips.start_s_N, clips.end_s_N, clips.vectors_ND)
    return {
        key: (start, end, tuple(vector)) for key, start, end, vector in zip(*columns, strict=True)
    }


def changes(report):
    """All counts of a report that are not zero."""
    names = ("indexed", "duplicates", "copied", "moved", "refreshed", "unchanged", "removed")
    names += ("kept", "quarantined")
    return {name: getattr(report, name) for name in names if getattr(report, name)}


def is_tracker(child):
    """Whether it is Python's own, which tidies up after `multiprocessing`."""
    try:
        return "resource_tracker" in " ".join(child.cmdline())
    except psutil.Error:  # it has ended meanwhile, so it was another's
        return False


def workers_alive():
    """Children of this process, but for the one that Python keeps to tidy up after itself."""
    children = psutil.Process().children(recursive=True)
    alive = [child for child in children if child.status() != "zombie"]
    return [child for child in alive if not is_tracker(child)]
