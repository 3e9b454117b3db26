"""Malformed uploads, paths and addresses: what escapes from `kinoscope serve`, or ends it."""

import base64
import http.client
import io
import json
import random
import socket
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from kinoscope.embedder import Embedder
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.index.handle import Index
from kinoscope.samples.writing import write_video
from recipes.serve_asking import serving

UPLOADS, PATHS, ADDRESSES = 400, 400, 200
_SECRET = b"a secret that no answer may hold"
_UP = ("../", "..%2f", "%2e%2e/", "%2e%2e%2f", "..%5c", "....//", "%252e%252e%252f", "..;/", "/")
_ROUTES = (
    "/{}",
    "/static/{}",
    "/watch/{}",
    "/api/videos/{}/media",
    "/api/videos/{}/poster?at=0",
    "/api/videos/{}/preview?start=0&end=1",
    "/api/uploads/{}/poster",
    "/?like={}",
    "/?q=x&folder={}",
)

Case = tuple[str, str, bytes, str]
"""Method, path, body and its type."""


def main() -> None:
    """Asks a server of its own; saves `results/serve_security.json`."""
    chance = random.Random(20)
    statuses: Counter[int] = Counter()
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder, socket.socket() as canary:
        canary.bind(("127.0.0.1", 0))
        canary.listen()
        called: list[object] = []
        threading.Thread(target=_listen, args=(canary, called), daemon=True).start()
        top = Path(folder)
        (top / "secret.txt").write_bytes(_SECRET)
        film = _library(top)
        cases = [
            *uploads(film.read_bytes(), chance),
            *paths(top / "secret.txt", chance),
            *addresses(canary.getsockname()[1], top / "secret.txt", chance),
        ]
        escaped = 0
        with serving(top / "index", top / "cache") as (port, process):
            for case in cases:
                status, answer = ask(port, case)
                statuses[status] += 1
                escaped += _SECRET in answer or b"Traceback" in answer
            ended = not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    crashes = int(ended) + sum(n for status, n in statuses.items() if status >= 500 or not status)
    metrics = {
        "cases": Metric(value=len(cases), n=len(cases)),
        "escaped": Metric(value=escaped + len(called), n=len(cases)),
        "crashes": Metric(value=crashes, n=len(cases)),
    }
    counts = {str(status): count for status, count in sorted(statuses.items())}
    details = {
        "uploads": UPLOADS,
        "paths": PATHS,
        "addresses": ADDRESSES,
        "statuses": counts,
        "escaped": "answers with a secret file's content or a trace; connections that were made",
        "crashes": "answers of 500 and above, broken connections, the end of the server",
    }
    save_result("serve_security", metrics, details=details)
    print(counts, {name: metric.value for name, metric in metrics.items()})


def uploads(film: bytes, chance: random.Random) -> Iterator[Case]:
    """Pictures and a film, cut, overwritten, or of another kind than they say."""
    whole = [film, *(_picture(form) for form in ("PNG", "JPEG", "GIF", "WEBP", "TIFF", "BMP"))]
    for number in range(UPLOADS):
        content = bytearray(whole[number % len(whole)])
        for _ in range(chance.choice((1, 8, 64, 512))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if number % 3 == 0:
            del content[chance.randrange(len(content)) :]
        if number % 11 == 0:
            content[:0] = chance.randbytes(chance.randrange(1, 64))
        name = chance.choice(("a.mp4", "../../x.mp4", "a.png", "%00", "x" * 300, ""))
        start = f'--edge\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body = start.encode() + bytes(content) + b"\r\n--edge--\r\n"
        yield "POST", "/api/uploads", body, "multipart/form-data; boundary=edge"


def paths(secret: Path, chance: random.Random) -> Iterator[Case]:
    """Ways out of every route that takes a name."""
    known = [(up, route) for up, route in product(_UP, _ROUTES)]
    for number in range(PATHS):
        up, route = known[number % len(known)]
        target = chance.choice((str(secret).lstrip("/"), "etc/passwd", "secret.txt", "app.py"))
        yield "GET", route.format(up * chance.randrange(1, 9) + target), b"", ""


def addresses(port: int, secret: Path, chance: random.Random) -> Iterator[Case]:
    """Media that lie elsewhere: on this machine, in a file, behind other schemes."""
    for number in range(ADDRESSES):
        host = chance.choice(("127.0.0.1", "localhost", "[::1]", "0x7f000001", "2130706433"))
        scheme = chance.choice(("http", "https", "HTTP", "ftp", "file", "gopher", "dict", "data"))
        url = f"file://{secret}" if scheme == "file" else f"{scheme}://{host}:{port}/x.png"
        if scheme == "data":
            inside = chance.choice((url.encode(), str(secret).encode(), chance.randbytes(40)))
            url = f"data:image/png;base64,{base64.b64encode(inside).decode()}"
        kind = chance.choice(("image_url", "video_url"))
        part = {"type": kind, kind: {"url": url}}
        if number % 2:
            body: dict[str, object] = {"messages": [{"role": "user", "content": [part]}]}
            yield "POST", "/v1/embeddings", json.dumps(body).encode(), "application/json"
        else:
            body = {"query": "x", "documents": [{"content": [part]}]}
            yield "POST", "/v1/rerank", json.dumps(body).encode(), "application/json"


def ask(port: int, case: Case) -> tuple[int, bytes]:
    """Status and body; 0 for a broken connection."""
    method, path, body, kind = case
    asking = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        asking.request(method, path, body or None, {"Content-Type": kind} if kind else {})
        answer = asking.getresponse()
        return answer.status, answer.read()
    except (http.client.HTTPException, OSError):
        return 0, b""
    finally:
        asking.close()


def _library(top: Path) -> Path:
    """One little film, indexed."""
    film = top / "videos" / "film.mp4"
    film.parent.mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (16, 64, 96, 3), dtype=np.uint8)
    write_video(film, iter(noise), fps=8)
    Index.open(top / "index", Embedder.load(), create=True).add(film)
    return film


def _picture(form: str) -> bytes:
    noise = np.random.default_rng(1).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    written = io.BytesIO()
    Image.fromarray(noise).save(written, form)
    return written.getvalue()


def _listen(canary: socket.socket, called: list[object]) -> None:
    """Notes every connection to a port that nobody was told to use."""
    while True:
        try:
            called.append(canary.accept())
        except OSError:
            return


if __name__ == "__main__":
    main()
