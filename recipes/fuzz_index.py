"""Damaged index folders: each is opened, or refused in a sentence, and can be mended."""

import json
import logging
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from kinoscope.errors import IndexFault, KinoscopeError
from kinoscope.index.derived import open_derived
from kinoscope.index.manifest import WRITER
from kinoscope.index.repair import repair
from kinoscope.index.store import Store
from recipes.fuzz_mutations import damaged_media
from recipes.fuzz_parsers import Parser, tried
from tests.made_index import made_store, random_clips, row

BATCH = 50


def make_index(folder: Path) -> Store:
    """Two videos, one that was removed, and search arrays."""
    store = made_store(folder, {"a": random_clips(3, 1), "c": random_clips(3, 3)})
    store.commit([("b", random_clips(3, 2))], [row("/films/b.mp4", "b")])
    store.remove(["/films/c.mp4"])
    store.add_sources([Path("/films")])
    open_derived(store)
    return store


def batch(number: int, count: int = BATCH) -> Counter[str]:
    """So many copies of an index with one damaged file each: how they ended, `outside` for faults.

    The search arrays are derived: damage to them may cost nothing.
    """
    chance, outcomes = random.Random(f"index {number}"), Counter[str]()
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        whole, copy = Path(folder) / "whole", Path(folder) / "copy"
        make_index(whole)
        paths = sorted(path for path in whole.rglob("*") if path.is_file())
        paths = [path for path in paths if not path.name.startswith(Path(WRITER).stem)]
        for _ in range(count):
            shutil.copytree(whole, copy)
            path = chance.choice(paths)
            target = copy / path.relative_to(whole)
            target.write_bytes(damaged_media([path.read_bytes()], chance))
            outcomes[_outcome(copy, is_derived="derived" in path.parts)] += 1
            shutil.rmtree(copy)
    logging.disable(logging.NOTSET)
    return outcomes


def _outcome(index: Path, *, is_derived: bool) -> str:
    """`as it was`, `refused`, `mended`, or what is a fault of ours."""
    state = ["as it was"]

    def look() -> None:
        Store.open(index).snapshot()
        Store.open(index).sources()
        open_derived(Store.open(index))

    def mend() -> None:
        if list(repair(index, write=True)):
            state.append("mended")

    def check() -> None:
        left = list(repair(index))
        assert not left, f"not mended: {left[0].name}"
        look()
        shown = set(Store.open(index).clips().video_ids)
        assert shown == {"a", "b"} or not is_derived, f"derived damage cost rows: {shown}"

    for step, refusable in (
        (look, True),
        (lambda: list(repair(index)), True),
        (mend, False),
        (check, False),
    ):
        what = _step(step, refusable=refusable)
        if what == "refused":
            state.append(what)
        elif what:
            return f"outside: {what}"
    return state[-1]


def _step(do: Callable[[], object], *, refusable: bool) -> str:
    def read(_content: bytes, _folder: Path) -> None:
        try:
            do()
        except KinoscopeError as error:
            if not refusable:
                raise AssertionError(f"refused: {error}") from error
            assert isinstance(error, IndexFault), error
            refused.append(str(error))

    refused: list[str] = []
    crash = tried(Parser(seeds=(), read=read), b"", Path())
    return crash.what if crash else "refused" if refused else ""


def run(count: int, folder: Path) -> Counter[str]:
    """Batches until there were so many; goes on from what `folder` says of earlier ones."""
    said = folder / "index.json"
    folder.mkdir(parents=True, exist_ok=True)
    outcomes, done = Counter[str](), 0
    if said.exists():
        known = json.loads(said.read_text())
        outcomes, done = Counter(known["outcomes"]), known["batches"]
    for number in range(done, -(-count // BATCH)):
        outcomes += batch(number)
        said.write_text(json.dumps({"batches": number + 1, "outcomes": outcomes}))
        print(f"{(number + 1) * BATCH} damaged indexes", dict(outcomes), flush=True)
    return outcomes
