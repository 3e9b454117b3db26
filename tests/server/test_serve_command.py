"""`kinoscope serve` as a process, and the ways in which documents start it."""

import http.client
import json
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def no_token(monkeypatch):
    monkeypatch.delenv("KINOSCOPE_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--host", "0.0.0.0"], 2, "set a token in KINOSCOPE_TOKEN"),
        (["--root", "/no/such/folder"], 2, "is no folder"),
        (["--port", "70000"], 2, "choose 1 to 65535"),
        (["--token-file", "/no/such/file"], 2, "cannot be read"),
        (["--index", "/no/such/index"], 4, "no index at"),
        (["--calibration", "/no/such/file"], 2, "does not exist"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(run, no_token, tmp_path, words, code, told):
    given = words if "--index" in words else [*words, "--index", tmp_path / "none"]
    status, _, said = run("serve", *given)
    assert status == code and told in said and "Traceback" not in said


def test_a_taken_port_is_said_in_a_sentence(run, no_token, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, _, said = run("serve", "--port", port, "--index", tmp_path / "i", "--root", tmp_path)
    assert code == 2 and "in use" in said


def test_a_short_token_in_a_file_is_refused(run, no_token, tmp_path):
    (tmp_path / "token").write_text("short\n")
    code, _, said = run("serve", "--token-file", tmp_path / "token", "--index", tmp_path / "none")
    assert code == 2 and "needs 16" in said and "short" not in said


def test_it_starts_answers_and_ends_in_order(tmp_path, no_token):
    words = [sys.executable, "-m", "kinoscope", "serve", "--port", "0"]
    words += ["--index", str(tmp_path / "index"), "--root", str(tmp_path)]
    words += ["--cache", str(tmp_path / "cache")]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = re.search(r"http://\S+", process.stderr.readline())[0]
            with urllib.request.urlopen(f"{address}/health", timeout=60) as answer:
                assert json.load(answer)["model"] == "concepts"
            kept = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
            kept.request("GET", "/health")
            assert kept.getresponse().read()
            port = kept.sock.getsockname()[1]
            time.sleep(6)  # longer than Uvicorn would keep it
            kept.request("GET", "/health")
            assert kept.getresponse().read() and kept.sock.getsockname()[1] == port
            kept.close()
            with urllib.request.urlopen(f"{address}/api/indexing/events", timeout=60) as events:
                assert events.readline().startswith(b"data: ")
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) in (0, -signal.SIGTERM), "listeners do not hold it up"
            assert "Traceback" not in process.stderr.read()
        finally:
            process.kill()


def options_of(words: list[str]) -> set[str]:
    return {word for word in words if word.startswith("--")}


def test_containers_and_services_start_it_with_options_that_it_has():
    help_ = (
        (ROOT / "docs" / "cli.md").read_text().split("## kinoscope serve\n")[1].split("\n## ")[0]
    )
    known = set(re.findall(r"--[a-z-]+", help_))
    image = (ROOT / "Dockerfile").read_text()
    command = json.loads(re.search(r"^CMD (\[.*\])$", image, re.M)[1])
    assert command[0] == "serve" and options_of(command) <= known
    page = (ROOT / "docs" / "serve.md").read_text()
    started = re.search(r"^ExecStart=\S+kinoscope serve (.*)$", page, re.M)[1]
    assert options_of(shlex.split(started)) <= known
    for line in re.findall(r"^kinoscope serve (.*)$", page, re.M):
        assert options_of(shlex.split(line, comments=True)) <= known
    copied = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.M))
    wanted = re.findall(r"^COPY (.*) \./(?:src)?$", image, re.M)
    assert {name for line in wanted for name in line.split()} == copied
