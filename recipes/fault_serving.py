"""The cell of the fault matrix in which a server is killed while its clients ask it to write."""

import http.client
import json
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import psutil

from recipes.crash import READY, read_tables
from recipes.fault_bench import Bench, Cell
from recipes.fault_deeds import deed

_PATIENCE_S = 120.0
_CHILDREN_END_WITHIN_S = 60.0  # an optimising process goes on, by itself and gently
_ROUNDING = 6  # digits of a score
_GONE = (OSError, http.client.HTTPException, json.JSONDecodeError)


def while_serving(bench: Bench, kills: int) -> Cell:
    """Kills at random moments of a run that a client asked for, and of what clients do beside it.

    They look at the library, upload, search, have pictures made, forget a video and have it
    indexed again. What they were told is indexed must be there afterwards; a new server on the
    same folders must go on, and in the end answer as one that nobody disturbed.
    """
    cell, chance = Cell(name="kill while serving", tries_count=False), bench.chance("serve")
    peace = Folders(bench.library, bench.work / "served", bench.work / "served-cache")
    with serving(peace) as server:
        began_s = time.monotonic()
        server.index_all()
        whole_s = time.monotonic() - began_s
        wanted = server.answers()
    cell.compare(peace.index, bench.truth, bench.truth)
    round_ = 0
    while cell.cases < kills:
        work = bench.work / f"served-{round_}"
        folders = Folders(bench.library, work / "index", work / "cache")
        for _ in range(min(4, kills - cell.cases)):  # one index is killed several times
            _kill(cell, folders, chance.uniform(0, 1.5 * whole_s), Random(chance.random()))
            known = read_tables(folders.index)
            cell.compare(folders.index, known, bench.truth)
            cell.cases += 1
        with serving(folders) as server:
            server.index_all()
            answers = server.answers()
            cell.expect(answers == wanted, f"answers differ: {_first_difference(answers, wanted)}")
        cell.compare(folders.index, bench.truth, bench.truth)
        cell.mend(folders.index)
        left = sorted(path.name for path in folders.cache.glob(".*") if ".servers" not in path.name)
        cell.expect(not left, f"left in the cache: {left}")
        round_ += 1
    return cell


@dataclass(frozen=True)
class Folders:
    """What a server has: films, an index, a cache."""

    library: Path
    index: Path
    cache: Path


@dataclass
class Server:
    """A server at an address, as its clients see it.

    `told` are paths that some client was told are indexed, but for those that one asked to forget.
    """

    address: str
    process: "subprocess.Popen[str]"
    faults: list[str] = field(default_factory=list)
    told: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """An answer's content; a refusal is one, too. A fault of the server is counted."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **(headers or {})}
        asked = urllib.request.Request(self.address + path, content, sent, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=_PATIENCE_S) as answer:
                return bytes(answer.read())
        except urllib.error.HTTPError as error:
            said = error.read()
            if error.code >= 500:
                self.faults.append(f"{method} {path}: {error.code} {said[:200]!r}")
            return bytes(said)

    def videos(self) -> list[dict[str, Any]]:
        """Indexed files by path, which are now told."""
        found = json.loads(self.ask("GET", "/api/videos?limit=1000")).get("videos", [])
        rows = [row for row in found if row["state"] == "indexed"]
        self.told |= {row["path"] for row in rows} - self.forgotten
        return rows

    def index_all(self) -> None:
        """Has the library indexed, waits for the end of the run and until it is served."""
        self.ask("POST", "/api/videos", {"folder": str(self.library)})
        end_s = time.monotonic() + _PATIENCE_S
        while json.loads(self.ask("GET", "/api/indexing"))["state"] == "running":
            assert time.monotonic() < end_s, "the run does not end"
            time.sleep(0.05)
        time.sleep(1.5)  # a second after a commit the new state is served

    def answers(self) -> dict[str, Any]:
        """What every indexed video finds, where, and what it looks like."""
        made: dict[str, Any] = {}
        for row in self.videos():
            name, id_ = Path(row["path"]).name, row["id"]
            asked = {"video": id_, "k": 5, "group": "look"}
            hits = json.loads(self.ask("POST", "/api/search", asked)).get("hits", [])
            made[f"search {name}"] = [
                (hit["path"], hit["start_s"], hit["end_s"], round(hit["score"], _ROUNDING))
                for hit in hits
            ]
            made[f"poster {name}"] = self.ask("GET", f"/api/videos/{id_}/poster?at=0.5")
        made["faults"] = list(self.faults)
        return made

    @property
    def library(self) -> Path:
        """What it was started with."""
        return Path(self.process.args[4])  # type: ignore[index, arg-type]


@contextmanager
def serving(folders: Folders) -> Iterator[Server]:
    """A server as a process of its own, ended in order unless it was killed."""
    command = deed("serve", folders.library, folders.index, folders.cache)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert line == READY, f"{command} said {line!r}"
        server = Server(process.stdout.readline().strip(), process)
        children = psutil.Process(process.pid).children
        try:
            yield server
        finally:
            workers = children(recursive=True) if process.poll() is None else []
            process.terminate()
            process.wait(_PATIENCE_S)
            psutil.wait_procs(workers, timeout=_CHILDREN_END_WITHIN_S)


def _kill(cell: Cell, folders: Folders, after_s: float, chance: Random) -> None:
    """A server with busy clients is killed; it leaves no process, and keeps what it told."""
    with serving(folders) as server:
        clients = [
            threading.Thread(target=_until_it_is_gone, args=(server, act, Random(chance.random())))
            for act in (_look, _upload, _search, _picture, _write)
        ]
        for client in clients:
            client.start()
        time.sleep(after_s)
        workers = psutil.Process(server.process.pid).children(recursive=True)
        server.process.kill()
        server.process.wait()
        for client in clients:
            client.join()
    _, alive = psutil.wait_procs(workers, timeout=_CHILDREN_END_WITHIN_S)
    cell.expect(not alive, f"processes left: {alive}")
    cell.expect(not server.faults, f"faults of the server: {server.faults[:2]}")
    rows = read_tables(folders.index).files
    lost = {path for path in server.told if path not in rows or rows[path].state != "indexed"}
    cell.rows_compared += len(server.told)
    cell.rows_lost += len(lost)
    if lost:
        cell.notes.append(f"told and lost: {sorted(lost)[:2]}")


def _until_it_is_gone(
    server: Server, act: Callable[[Server, Random], None], chance: Random
) -> None:
    while server.process.poll() is None:
        try:
            act(server, chance)
        except _GONE:
            time.sleep(0.01)  # killed while it answered


def _look(server: Server, _chance: Random) -> None:
    server.videos()
    server.ask("GET", "/health")


def _upload(server: Server, chance: Random) -> None:
    film = chance.choice(sorted(server.library.glob("[0-9]*.mp4")))
    head = '--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    body = head.encode() + film.read_bytes() + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    upload = json.loads(server.ask("POST", "/api/uploads", body, kind))
    server.ask("POST", "/api/search", {"video": upload.get("id", "")})


def _search(server: Server, chance: Random) -> None:
    for row in chance.sample(rows := server.videos(), min(2, len(rows))):
        server.ask("POST", "/api/search", {"video": row["id"]})


def _picture(server: Server, chance: Random) -> None:
    for row in chance.sample(rows := server.videos(), min(1, len(rows))):
        at = chance.random()
        server.ask("GET", f"/api/videos/{row['id']}/poster?at={at:.2f}")
        server.ask("GET", f"/api/videos/{row['id']}/preview?start=0&end={0.5 + at:.2f}")


def _write(server: Server, chance: Random) -> None:
    """Has everything indexed, then forgets a video, again and again."""
    server.ask("POST", "/api/videos", {"folder": str(server.library)})
    while json.loads(server.ask("GET", "/api/indexing"))["state"] == "running":
        time.sleep(0.02)
    for row in chance.sample(rows := server.videos(), min(1, len(rows))):
        copies = {each["path"] for each in rows if each["id"] == row["id"]}
        server.forgotten |= copies
        server.told -= copies
        server.ask("DELETE", f"/api/videos/{row['id']}")


def _first_difference(answers: dict[str, Any], wanted: dict[str, Any]) -> str:
    names = sorted(answers.keys() | wanted.keys())
    name = next((name for name in names if answers.get(name) != wanted.get(name)), "nothing")
    return f"{name}: {str(answers.get(name))[:200]} for {str(wanted.get(name))[:200]}"
