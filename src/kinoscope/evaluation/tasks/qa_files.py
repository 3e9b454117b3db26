"""Test files of video question answering, in the layouts in which they are published."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import Benchmark, Files, Model, Options, TaskResult
from kinoscope.evaluation.tasks.qa import Asked, answering, checked
from kinoscope.training.sources.problems import Unfit
from kinoscope.training.sources.rows import csv_rows, entries, json_document

Read = Callable[[Files, Films], Iterator[Asked]]
_NEXT_OPTIONS = tuple(f"a{number}" for number in range(5))


def msr_vtt_qa(files: Files, found: Films) -> Iterator[Asked]:
    """`[{"id", "video_id", "question", "answer"}]`; videos are `video7010` or as named."""
    rows = entries(json_document(files["questions"]), found.problems, "entry")
    for where, row in rows:
        with found.problems.at(where):
            video = row.get("video_id", row.get("video"))
            film = found.find(video, f"video{video}", f"vid{video}")
            name = f"{film.id}#{row.get('id', where.split()[-1])}"
            yield checked(name, film, (row.get("question"), row.get("answer"), None))


def activitynet_qa(files: Files, found: Films) -> Iterator[Asked]:
    """`[{"video_name", "question", "question_id"}]`, and answers by `question_id` beside."""
    listed = entries(json_document(files["answers"]), found.problems, "answer")
    answers = {str(row.get("question_id")): row for _, row in listed}
    for where, row in entries(json_document(files["questions"]), found.problems, "entry"):
        with found.problems.at(where):
            name = str(row.get("question_id"))
            if name not in answers:
                raise Unfit("id", f"the question {name[:80]!r} has no answer: give both files")
            video = str(row.get("video_name"))
            film = found.find(video, f"v_{video}")
            told = (row.get("question"), answers[name].get("answer"), None)
            yield checked(name, film, told)


def next_qa(files: Files, found: Films) -> Iterator[Asked]:
    """`video,...,question,answer,qid,type,a0,...,a4`: the answer is the number of an option."""
    needed = ["video", "question", "answer", "qid", *_NEXT_OPTIONS]
    for where, row in csv_rows(files["questions"], found.problems, needed=needed):
        with found.problems.at(where):
            film = found.find(row["video"])
            options = [row[name].strip() for name in _NEXT_OPTIONS]
            if row["answer"] not in ("0", "1", "2", "3", "4"):
                raise Unfit("type", f"the answer {row['answer'][:20]!r}: give 0 to 4")
            told = (row["question"], options[int(row["answer"])], options)
            yield checked(f"{film.id}#{row['qid']}", film, told, row.get("type", ""))


def mvbench(files: Files, found: Films) -> Iterator[Asked]:
    """`[{"video", "question", "candidates", "answer"}]`, a file a kind of question."""
    rows = entries(json_document(files["questions"]), found.problems, "entry")
    for where, row in rows:
        with found.problems.at(where):
            film = found.find(row.get("video"))
            told = (row.get("question"), row.get("answer"), row.get("candidates", []))
            yield checked(f"{film.id}#{where.split()[-1]}", film, told)


def _run(read: Read, files: Files, model: Model, options: Options) -> TaskResult:
    found = Films(files["videos"], files["questions"], options.limit)
    return answering(read(files, found), found, model)


def _benchmark(read: Read, questions: str, source: str, **more: str) -> Benchmark:
    files = {"questions": questions, "videos": "videos", **more}
    return Benchmark(files=files, run=partial(_run, read), source=source)


BENCHMARKS: Mapping[str, Benchmark] = {
    "msrvtt-qa": _benchmark(msr_vtt_qa, "test_qa.json", "ACM MM 2017, 10.1145/3123266.3123427"),
    "msvd-qa": _benchmark(msr_vtt_qa, "test_qa.json", "ACM MM 2017, 10.1145/3123266.3123427"),
    "activitynet-qa": _benchmark(
        activitynet_qa, "test_q.json", "arXiv 1906.02467", answers="test_a.json"
    ),
    "next-qa": _benchmark(next_qa, "test.csv", "arXiv 2105.08276"),
    "mvbench": _benchmark(mvbench, "questions.json", "arXiv 2311.17005"),
}
