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
    t2v, names = text_to_video(data, encoder)
    values, figures = _figures(t2v, names, options)
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
    return TaskResult(values=values, figures=figures, protocol=protocol, left_out=left_out)


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
    )
    return asked, names


def _figures(
    asked: Asked, names: Sequence[str], options: Options
) -> tuple[dict[str, PerQuery], dict[str, Metric]]:
    owners = np.array(asked.positives, np.int64)[:, 0]
    own_texts = [np.flatnonzero(owners == video).tolist() for video in range(len(names))]
    scores_VQ = np.asarray(asked.scores_QN.T)
    grouped_VV = best_of_groups(scores_VQ, owners.tolist())
    back = Asked(scores_QN=grouped_VV, positives=own(len(names)), queries=names, videos=names)
    t2v, v2t = asked.scored(options), back.scored(options)
    values: dict[str, PerQuery] = {}
    figures: dict[str, Metric] = {}
    for way, each in {"t2v": t2v, "v2t": v2t}.items():
        place = each.ranks()
        values |= each.recalls(way) | {f"{way}_mnr": each.values(place.astype(np.float64))}
        figures[f"{way}_mdr"] = median_with_interval(place, each.videos)
    if len(owners) > len(names):
        each_VQ = replace(back, scores_QN=scores_VQ, positives=own_texts).scored(options).scores_QN
        place, _ = ranks_of_each(each_VQ, own_texts, rounding=ROUNDING)
        texts_first = np.argsort([text for texts in own_texts for text in texts])
        for k in CUTOFFS:
            values[f"v2t_each_r{k}"] = t2v.values(recall_at(k, place[texts_first]))
    return values, figures
