"""Text to video and video to text in one gallery, with one caption a video or several."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from kinoscope.errors import UsageError
from kinoscope.evaluation.metrics import (
    PerQuery,
    best_of_groups,
    median_with_interval,
    ranks_of_each,
    recall_at,
)
from kinoscope.evaluation.metrics.checks import ROUNDING
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.tasks.encoding import Encoder
from kinoscope.evaluation.tasks.films import Films
from kinoscope.evaluation.tasks.protocol import Film, Model, Options, TaskResult
from kinoscope.evaluation.tasks.recalls import CUTOFFS, Asked, own
from kinoscope.training.sources import fields


@dataclass(frozen=True, eq=False)
class Captioned:
    """A gallery of films, and texts with the film [N] that each describes."""

    found: Films
    films: tuple[Film, ...]
    texts: tuple[str, ...]
    owners: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.texts:
            raise UsageError(f"no video has a caption: {self.found.problems.describe()}")


def gathered(found: Films, rows: Iterable[tuple[str, Sequence[str], object]]) -> Captioned:
    """From rows (where, names of the video, caption): one that comes again is a problem."""
    films: dict[Film, int] = {}
    pairs: dict[tuple[int, str], None] = {}
    for where, names, said in rows:
        with found.problems.at(where):
            film = found.find(*names)
            pair = films.get(film, len(films)), fields.text(said, "the caption")
            if pair in pairs:
                message = f"{film.id} has this caption already: remove one"
                found.problems.add("duplicate", where, message)
                continue
            films.setdefault(film, len(films))
            pairs[pair] = None
    owners, texts = [owner for owner, _ in pairs], [text for _, text in pairs]
    return Captioned(found, tuple(films), tuple(texts), tuple(owners))


def retrieval(data: Captioned, model: Model, options: Options) -> TaskResult:
    """R@1, 5 and 10, median and mean ranks, both ways; a tie counts against the query.

    Text to video each caption asks alone. Video to text any caption of the video is right, and
    those of another video count once, by the best; `v2t_each` instead asks for each caption.
    """
    encoder = Encoder(model)
    asked, names = text_to_video(data, encoder)
    back = _video_to_text(asked, names)
    t2v, v2t = asked.scored(options), back.scored(options)
    values, figures = _figures(t2v, v2t)
    values |= _of_each(asked, back, options)
    words = sorted(len(text.split()) for text in data.texts)
    protocol = {
        "gallery_videos": len(names),
        "gallery_texts": len(t2v.queries),
        "captions": "t2v: each; v2t: any of a video's, another video's count once",
        "chance_t2v_r1": 1 / len(names),
        "texts_said_again": len(data.texts) - len(set(data.texts)),
        "words": [words[0], words[len(words) // 2], words[-1]],
    }
    left_out = data.found.left_out(
        encoder, data.found.rows_without_video + len(data.texts) - len(t2v.queries)
    )
    return TaskResult(
        values=values,
        figures=figures,
        protocol=protocol,
        left_out=left_out,
        rankings={"t2v": t2v.rankings(), "v2t": v2t.rankings()},
    )


def text_to_video(data: Captioned, encoder: Encoder) -> tuple[Asked, list[str]]:
    """Each caption of a film that can be read asks for it; and which films the gallery has."""
    videos = encoder.films(data.films)
    row = videos.row_of()
    kept = [n for n, owner in enumerate(data.owners) if owner in row]
    owners = [row[data.owners[n]] for n in kept]
    names = [data.films[place].id for place in videos.places]
    count: Counter[int] = Counter()
    queries = []
    for owner in owners:
        queries.append(f"{names[owner]}#{count[owner]}")
        count[owner] += 1
    asked = Asked(
        scores_QN=encoder.texts([data.texts[n] for n in kept]) @ videos.vectors_ND.T,
        positives=[[owner] for owner in owners],
        queries=queries,
        videos=[names[owner] for owner in owners],
        items=names,
    )
    return asked, names


def _video_to_text(t2v: Asked, names: Sequence[str]) -> Asked:
    """Each video asks for its captions, among those of each other video as one item."""
    owners = [video for (video,) in t2v.positives]
    return Asked(
        scores_QN=best_of_groups(np.asarray(t2v.scores_QN.T), owners),
        positives=own(len(names)),
        queries=names,
        videos=names,
        items=names,
    )


def _figures(t2v: Asked, v2t: Asked) -> tuple[dict[str, PerQuery], dict[str, Metric]]:
    values: dict[str, PerQuery] = {}
    figures: dict[str, Metric] = {}
    for way, each in {"t2v": t2v, "v2t": v2t}.items():
        values |= each.recalls(way)
        figures[f"{way}_mdr"] = median_with_interval(values[f"{way}_mnr"].values_Q, each.videos)
    return values, figures


def _of_each(t2v: Asked, v2t: Asked, options: Options) -> dict[str, PerQuery]:
    """`v2t_each_r1`, ...: each caption is asked for; nothing where every video has one."""
    owners = np.array(t2v.positives, np.int64)[:, 0]
    if len(owners) == len(v2t.queries):
        return {}
    own_texts = [np.flatnonzero(owners == video).tolist() for video in range(len(v2t.queries))]
    every = replace(
        v2t, scores_QN=np.asarray(t2v.scores_QN.T), positives=own_texts, items=t2v.queries
    )
    place, _ = ranks_of_each(every.scored(options).scores_QN, own_texts, rounding=ROUNDING)
    texts_first = np.argsort([text for texts in own_texts for text in texts])
    return {f"v2t_each_r{k}": t2v.values(recall_at(k, place[texts_first])) for k in CUTOFFS}
