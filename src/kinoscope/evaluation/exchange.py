"""Lists in the files that other tools of retrieval read: TREC runs, TREC and BEIR judgements."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from kinoscope.durable import write_atomically
from kinoscope.errors import UsageError
from kinoscope.evaluation.query_lists import read_lists
from kinoscope.evaluation.tasks.rankings import DEPTH, Rankings

Form = Literal["trec", "beir"]
FORMS: tuple[Form, ...] = ("trec", "beir")


def export_run(evaluation: Path, form: Form, to: Path, *, tag: str = "kinoscope") -> list[Path]:
    """Writes what a saved evaluation ranked; returns the files, two a list.

    `LIST.run` has lines `qid Q0 docid rank score tag`, the first `DEPTH` of each query. Judgements
    are `LIST.qrels`, lines `qid 0 docid 1`, or as BEIR has them `qrels/LIST.tsv` with a head. Names
    may hold no white space there: it is written as in addresses, `a b` as `a%20b`.

    Raises `UsageError` for an evaluation without lists, or with lists of moments alone.
    """
    files = []
    whole = {name: each for name, each in read_lists(evaluation).items() if each.spans_L2 is None}
    if not whole:
        raise UsageError(
            f"{evaluation.name} ranks moments: these files cannot say how far windows overlap"
        )
    for name, lists in whole.items():
        short = quote(name, safe="")
        files += [to / f"{short}.run", _judgements_file(to, form, short)]
        files[-1].parent.mkdir(parents=True, exist_ok=True)
        write_atomically(files[-2], "".join(run_lines(lists, tag)))
        write_atomically(files[-1], "".join(judgement_lines(lists, form)))
    return files


def _judgements_file(to: Path, form: Form, name: str) -> Path:
    return to / "qrels" / f"{name}.tsv" if form == "beir" else to / f"{name}.qrels"


def run_lines(lists: Rankings, tag: str) -> Iterator[str]:
    """`qid Q0 docid rank score tag`; the score is what the list is ordered by."""
    items, word = [plain(name) for name in lists.items], plain(tag)
    for query, rows_K in lists.by_query():
        name = plain(lists.queries[query])
        for row in rows_K:
            rank = int(lists.rank_L[row])
            if 1 <= rank <= DEPTH:
                score = float(lists.score_L[row])
                yield f"{name} Q0 {items[lists.item_L[row]]} {rank} {score!r} {word}\n"


def judgement_lines(lists: Rankings, form: Form) -> Iterable[str]:
    """What is right for each query; BEIR's have a head and tabs."""
    if form == "beir":
        yield "query-id\tcorpus-id\tscore\n"
    for query, rows_K in lists.by_query():
        name = plain(lists.queries[query])
        for row in rows_K[lists.right_L[rows_K]]:
            item = plain(lists.items[lists.item_L[row]])
            yield f"{name}\t{item}\t1\n" if form == "beir" else f"{name} 0 {item} 1\n"


def plain(name: str) -> str:
    """A name without white space: `a b` -> `a%20b`; `%` itself becomes `%25`."""
    return re.sub(r"[\s%\x00-\x1f\x7f]", lambda found: quote(found[0]), name) or "%"
