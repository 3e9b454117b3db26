"""Retrieval by captions of a hundred words and more: CaReBench, VDC, DREAM-1K."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from kinoscope.evaluation.tasks.captions import Rows, captioned
from kinoscope.evaluation.tasks.protocol import Benchmark, Files
from kinoscope.training.sources.problems import Problems
from kinoscope.training.sources.rows import entries, json_document, jsonl_rows

_IDS = ("video", "video_id", "videoID", "id", "idx", "vid", "video_file")
_CAPTIONS = ("caption", "description", "detailed_caption", "detailed caption")


def long_text(captions: Sequence[str], files: Files, problems: Problems) -> Rows:
    """An object id -> caption, or objects with an id and a caption, as JSON or JSONL.

    `captions` are the names that the wanted text may have, such as of its temporal part.
    """
    path = files["captions"]
    if path.suffix.lower() == ".jsonl":
        listed: Iterator[tuple[str, Mapping[str, Any]]] = jsonl_rows(path, problems)
    else:
        document = json_document(path)
        if isinstance(document, dict):
            document = [
                {**(said if isinstance(said, dict) else {captions[0]: said}), "video": video}
                for video, said in document.items()
            ]
        listed = entries(document, problems, "entry")
    for where, entry in listed:
        video = next((str(entry[name]) for name in _IDS if name in entry), "")
        said = next((entry[name] for name in captions if name in entry), None)
        yield where, (video, Path(video).stem), said


BENCHMARKS: Mapping[str, Benchmark] = {
    "vdc": captioned(partial(long_text, _CAPTIONS), "arXiv 2410.03051", "vdc.json"),
    "dream-1k": captioned(partial(long_text, _CAPTIONS), "arXiv 2407.00634", "dream_1k.json"),
    "carebench": captioned(partial(long_text, _CAPTIONS), "arXiv 2501.00513", "carebench.json"),
    **{
        f"carebench-{part}": captioned(
            partial(long_text, (f"{part}_caption", part)), "arXiv 2501.00513", "carebench.json"
        )
        for part in ("spatial", "temporal")
    },
}
