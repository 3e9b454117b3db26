"""Every parser of this project, with sound input to begin from."""

import io
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np

from kinoscope.backbones.openai_wire import read_embeddings
from kinoscope.backbones.options import LoadOptions
from kinoscope.calibration import Calibration
from kinoscope.compact import load_compact, quantise, save_compact
from kinoscope.documents import Excerpt, file_or_piece
from kinoscope.evaluation.results import load_result
from kinoscope.evaluation.saved import SIDECAR, read_evaluation
from kinoscope.evaluation.tasks import captions, egocvr_files, moment_files, qa_files
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.moment_predictions import judge_predictions
from kinoscope.index.manifest import read_manifest, read_sources
from kinoscope.index.messages import read_message
from kinoscope.sampling import SamplingConfig
from kinoscope.thinking.config import Thinking
from kinoscope.training.journal import read_journal
from kinoscope.training.sources.benchmarks import read_benchmark
from kinoscope.training.sources.captions import read_captions
from kinoscope.training.sources.entries import Entry
from kinoscope.training.sources.problems import Problems
from kinoscope.training.triplets.narrations import read_ego4d
from kinoscope.training.triplets.published import read_covr, read_triplets
from kinoscope.training.world.chance import sample
from kinoscope.training.world.records import Record, describe_scene
from kinoscope.types import EmbedderSpec
from recipes.fuzz_parsers import Parser

Read = Callable[[bytes, Path], object]
Files = Mapping[str, Path]

_SPEC = EmbedderSpec(
    model="words",
    weights="w0",
    prompts="p0",
    sampling="exact 1fps min4 260px 4s/2s",
    thinking="none",
    centring="none",
    dimension=8,
)


# --- how input reaches a parser


def _text(read: Callable[[str], object]) -> Read:
    """As the command line gives it: bytes that are no Unicode survive as surrogates."""
    return lambda content, _folder: read(content.decode("utf-8", "surrogateescape"))


def _file(name: str, read: Callable[[Path], object]) -> Read:
    """As a file of that name in the folder."""

    def run(content: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        return read(path)

    return run


def _rows(read: Callable[[Files, Films], Iterator[object]], name: str, key: str) -> Read:
    """As a benchmark's file, in `key` of its files; others are as they should be."""

    def run(content: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        ids, answers = folder / "ids.txt", folder / "answers.json"
        ids.write_text("a\nb\n")
        answers.write_text('[{"question_id": "q1", "answer": "yes"}]')
        files = {
            key: path,
            "ids": ids,
            "answers": answers,
            "clips": path,
            "videos": folder / "videos",
        }
        return list(read(files, Films(folder / "videos", path)))

    return run


def _said(read: Callable[[Files, Problems], Iterator[object]], name: str) -> Read:
    """The same for captions, which look for no film yet."""
    return _rows(lambda files, found: read(files, found.problems), name, "captions")


def _training(benchmark: str, name: str) -> Read:
    """As the training file of a benchmark."""

    def run(path: Path) -> object:
        ids = path.with_name("train.txt")
        ids.write_text("a\nb\n")
        chosen = ids if benchmark == "MSVD" else None
        return read_benchmark(benchmark, path, path.with_name("videos"), ids=chosen)

    return _file(name, run)


def _excerpt(text: str) -> None:
    found = file_or_piece(text)
    if isinstance(found, Excerpt):
        assert 0 <= found.span.start_s < found.span.end_s < float("inf"), found


def _sampling(text: str) -> None:
    found = SamplingConfig.parse(text)
    assert SamplingConfig.parse(found.describe()) == found, text


def _thinking(text: str) -> None:
    found = Thinking.parse(text)
    assert Thinking.described(found.describe()) == found, text


def _options(text: str) -> None:
    LoadOptions.from_strings(dict([text.partition("=")[::2]]))


def _message(content: bytes, _folder: Path) -> None:
    found = read_message(io.BytesIO(content))
    assert found is None or isinstance(found[0], dict), found


def _predictions(path: Path) -> object:
    queries = path.with_name("queries.jsonl")
    queries.write_bytes(_QVH)
    return judge_predictions(queries, path)


def _compact_seed() -> bytes:
    with tempfile.TemporaryDirectory(prefix="kinoscope-") as folder:
        path = Path(folder) / "v.npz"
        save_compact(quantise(np.eye(8, dtype=np.float32), "float16"), path, _SPEC)
        return path.read_bytes()


def _jsonl(*rows: object) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


_SAID = {"video": "a", "description": "a dog", "times": [[0, 1], [0, 1], [1, 1]]}
_PARAGRAPHS = {"v_c": {"duration": 9.0, "timestamps": [[0, 4.5]], "sentences": ["A cat sits."]}}
_SEEN = {"qid": 1, "query": "a dog", "vid": "a", "duration": 9, "relevant_windows": [[0, 4]]}
_QVH = _jsonl(
    _SEEN | {"relevant_clip_ids": [0], "saliency_scores": [[1, 2, 3]]}, _SEEN | {"qid": 2}
)
_ASKED = {"question": "is it?", "answer": "yes", "id": 1, "video_id": "a"}
_TOLD = {
    "qid": 1,
    "vid": "a",
    "pred_relevant_windows": [[0, 4, 0.5]],
    "pred_saliency_scores": [0.1],
}
_KNOWN = {
    "video": "a.mp4",
    "key": "k",
    "caption": "a dog",
    "duration_s": 4,
    "moments": [{"text": "it runs", "start_s": 0, "end_s": 2}],
    "questions": [{"question": "what?", "answer": "a dog", "options": ["a dog", "a cat"]}],
    "mismatches": [{"text": "a cat", "why": "noun"}],
}
_EGO = {
    "videos": {
        "u": {
            "narration_pass_1": {
                "narrations": [
                    {"narration_text": "#C C opens the door"},
                    {"narration_text": "#C C slowly opens the door"},
                ]
            }
        }
    }
}
_SPLIT = {
    "videos": [{"video_id": "a", "split": "train"}],
    "sentences": [{"video_id": "a", "caption": "a dog runs"}],
}
_RESULT = {
    "command": "python -m recipes.x",
    "commit": "abc",
    "machine": {"cores": 2},
    "metrics": {"m": {"value": 1.0, "n": 3, "low": 0.5, "high": 2.0}},
}
_CALIBRATION = asdict(Calibration(model="w0"))
_MANIFEST = {"format": 3, "id": "0a", "spec": asdict(_SPEC)}
_ENTRY = {"item": "a", "offset": 0, "shape": [2, 3], "dtype": "<f4", "sha256": "00"}
_VECTORS = {
    "data": [{"index": 0, "embedding": [1.0, 0.0]}, {"index": 1, "embedding": "AACAPwAAAAA="}]
}
_FRAMES = b'{"kind": "frames", "shape": [1, 2, 2, 3]}\n' + np.zeros(1).tobytes() + bytes(12)
_LINES = b"a A bird is bathing.\nb Two dogs run.\n"
_VATEX = {"videoID": "a", "enCap": ["a dog", "a cat"]}
_EGOCVR = (
    b"video_clip_id,target_clip_ids,instruction,global_idx,local_idx\n"
    b'film_1,"[\'film_1\']",close it,"[0, 1]","[1]"\n'
)
_EVALUATION = Path(__file__).parents[1] / "results" / "eval"


def _evaluation() -> Path:
    return min(_EVALUATION.glob("*/*.json"))


def _of_evaluation(path: Path) -> object:
    shutil.copyfile(_evaluation().with_suffix(SIDECAR), path.with_suffix(SIDECAR))
    return read_evaluation(path)


def _of_triplets(path: Path) -> object:
    return read_triplets(path, overlaps=())


def _of_captions(path: Path) -> object:
    return read_captions(path, path.with_name("videos"), overlaps=())


def _parser(read: Read, *seeds: bytes) -> Parser:
    return Parser(seeds=seeds, read=read)


def parsers() -> dict[str, Parser]:
    """All of them, by name."""
    return {**_of_the_command_line(), **_of_files(), **_of_training(), **_of_benchmarks()}


def _of_the_command_line() -> dict[str, Parser]:
    return {
        "excerpt": _parser(_text(_excerpt), b"a.mp4@12-17", b"f@0:12.5-1:02:17", b"x@y.mp4@1-2"),
        "sampling": _parser(
            _text(_sampling),
            b"exact 1fps min4 260px 4s/2s",
            b"keyframe 0.5fps min1 99px/frame 8frames ",
        ),
        "thinking": _parser(
            _text(_thinking), b"latent:halt:8", b"none,text:eos:64", b"latent:converged=0.02:8"
        ),
        "described thinking": _parser(
            _text(Thinking.described), b"none", b"query none; document latent, fixed at 4"
        ),
        "options": _parser(
            _text(_options), b"dtype=bfloat16", b"layer=20", b"template=instruction"
        ),
    }


def _of_files() -> dict[str, Parser]:
    return {
        "calibration": _parser(_file("c.json", Calibration.read), _json(_CALIBRATION)),
        "result": _parser(
            _file("x.json", lambda path: load_result("x", folder=path.parent)), _json(_RESULT)
        ),
        "evaluation": _parser(_file("e.json", _of_evaluation), _evaluation().read_bytes()),
        "manifest": _parser(
            _file("kinoscope.json", lambda path: read_manifest(path.parent)), _json(_MANIFEST)
        ),
        "sources": _parser(
            _file("sources.json", lambda path: read_sources(path.parent)), b'["/films", "/a/b.mp4"]'
        ),
        "worker message": _parser(_message, _FRAMES, b'{"kind": "ready"}\n'),
        "entry": _parser(lambda content, _folder: Entry.parse(content), _json(_ENTRY)),
        "journal": _parser(
            _file("journal.jsonl", lambda path: read_journal(path.parent)),
            _jsonl({"step": 1, "loss": 0.5}, {"step": 2, "loss": 0.25}),
        ),
        "served vectors": _parser(_served, _json(_VECTORS)),
        "compact vectors": _parser(
            _file("v.npz", partial(load_compact, spec=_SPEC)), _compact_seed()
        ),
        "world record": _parser(
            lambda content, _folder: Record.from_json(content),
            describe_scene(sample("train", 3)).to_json().encode(),
        ),
    }


def _served(content: bytes, _folder: Path) -> None:
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        return  # http_json says so
    assert np.isfinite(read_embeddings(answer, 2)).all()


def _of_training() -> dict[str, Parser]:
    triplet = {"anchor": "a dog", "positive": "the dog", "negative": "a cat", "part": "core"}
    csv = b'video,caption,moment,start_s,end_s\na.mp4,a dog,it runs,0,2\nb.mp4,"a, b",,,\n'
    return {
        "captions csv": _parser(_file("c.csv", _of_captions), csv),
        "captions jsonl": _parser(_file("c.jsonl", _of_captions), _jsonl(_KNOWN)),
        "triplets csv": _parser(
            _file("t.csv", _of_triplets), b"sent0,sent1,hard_neg\na dog,the dog,a cat\n"
        ),
        "triplets jsonl": _parser(_file("t.jsonl", _of_triplets), _jsonl(triplet)),
        "covr": _parser(
            _file("v.csv", read_covr), b"txt1,txt2,edit\na red car,a blue car,make it blue\n"
        ),
        "ego4d": _parser(_file("n.json", read_ego4d), _json(_EGO)),
        "msr-vtt train": _parser(_training("MSR-VTT", "m.json"), _json(_SPLIT)),
        "msvd train": _parser(_training("MSVD", "m.txt"), _LINES),
        "vatex train": _parser(_training("VATEX", "v.json"), _json([_VATEX])),
        "didemo train": _parser(_training("DiDeMo", "d.json"), _json([_SAID])),
        "activitynet train": _parser(
            _training("ActivityNet-Captions", "a.json"), _json(_PARAGRAPHS)
        ),
        "charades train": _parser(
            _training("Charades-STA", "c.txt"), b"a 0.0 6.9##a person sits.\n"
        ),
        "qvhighlights train": _parser(_training("QVHighlights", "q.jsonl"), _QVH),
    }


def _of_benchmarks() -> dict[str, Parser]:
    next_qa = b"video,question,answer,qid,type,a0,a1,a2,a3,a4\na,what?,0,1,DC,a,b,c,d,e\n"
    lsmdc = b"film_1\t0\t1\t2\t3\tSomeone waits.\n"
    return {
        "msr-vtt": _parser(_said(captions.msr_vtt, "m.csv"), b"video_id,sentence\na,a dog\n"),
        "msvd": _parser(_said(captions.msvd, "m.txt"), _LINES),
        "vatex": _parser(_said(captions.vatex, "v.json"), _json([_VATEX])),
        "didemo": _parser(_said(captions.didemo, "d.json"), _json([_SAID])),
        "activitynet": _parser(_said(captions.activitynet, "a.json"), _json(_PARAGRAPHS)),
        "lsmdc": _parser(_said(captions.lsmdc, "l.csv"), lsmdc),
        "charades moments": _parser(
            _rows(moment_files.charades_sta, "c.txt", "queries"), b"a 0.0 6.9##a person sits.\n"
        ),
        "qvhighlights moments": _parser(
            _rows(moment_files.qvhighlights, "q.jsonl", "queries"), _QVH
        ),
        "activitynet moments": _parser(
            _rows(moment_files.activitynet, "a.json", "queries"), _json(_PARAGRAPHS)
        ),
        "moment predictions": _parser(
            _file("p.jsonl", _predictions), _jsonl(_TOLD, _TOLD | {"qid": 2})
        ),
        "msr-vtt questions": _parser(
            _rows(qa_files.msr_vtt_qa, "q.json", "questions"), _json([_ASKED])
        ),
        "activitynet questions": _parser(
            _rows(qa_files.activitynet_qa, "q.json", "questions"),
            _json([{"video_name": "c", "question": "is it?", "question_id": "q1"}]),
        ),
        "next questions": _parser(_rows(qa_files.next_qa, "n.csv", "questions"), next_qa),
        "mvbench questions": _parser(
            _rows(qa_files.mvbench, "m.json", "questions"),
            _json([_ASKED | {"video": "a", "candidates": ["yes", "no"]}]),
        ),
        "egocvr queries": _parser(_rows(_egocvr, "e.csv", "annotations"), _EGOCVR),
    }


def _egocvr(files: Files, found: Films) -> Iterator[object]:
    yield from egocvr_files.read_queries(files, found, ["film_1", "a_1"])
