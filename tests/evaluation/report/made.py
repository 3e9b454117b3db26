"""Made evaluations: two models on retrieval and on moments, saved as a run saves them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from kinoscope.evaluation.metrics import PerQuery, ranks, recall_at
from kinoscope.evaluation.saved import Evaluation, Protocol, save_evaluation
from kinoscope.evaluation.tasks.moment_figures import Sought, Told, judged, told_windows
from kinoscope.evaluation.tasks.protocol import Film, LeftOut
from kinoscope.evaluation.tasks.rankings import first_of
from kinoscope.types import EmbedderSpec

QUERIES = 40


def spec(model="mini", **changes) -> EmbedderSpec:
    return EmbedderSpec(
        **{
            "model": model, "weights": "0" * 64, "prompts": "1" * 64, "sampling": "exact 2fps",
            "thinking": "none", "centring": "none", "dimension": 3, **changes,
        }
    )  # fmt: skip


def protocol(**changes) -> Protocol:
    return Protocol(
        **{
            "source": "arXiv 1", "split": "test", "split_hash": "a" * 64, "files": {},
            "gallery": QUERIES, "queries": QUERIES, "sampling": "exact 2fps", "frames": 8,
            "resolution": "32 px", "prompts": "1" * 64, "template": "none", "pooling": "mean",
            "thinking": "none", "dimension": 3, "details": {"chance": 1 / QUERIES}, **changes,
        }
    )  # fmt: skip


def evaluation(benchmark, values, model="mini", **changes) -> Evaluation:
    return Evaluation(
        **{
            "benchmark": benchmark, "model": model, "command": f"kinoscope eval --model {model}",
            "commit": "abc1234", "machine": {"cores": 2}, "spec": spec(model),
            "protocol": protocol(), "metrics": {n: each.metric for n, each in values.items()},
            "left_out": LeftOut(), "seconds": {"total": 12.0}, "vectors": {"embedded": 80},
            "values": values, **changes,
        }
    )  # fmt: skip


def scores(seed, skill):
    """Cosines [Q, Q] without ties, the right one on the diagonal raised by `skill`."""
    random = np.random.default_rng(seed)
    return random.normal(size=(QUERIES, QUERIES)) + skill * np.eye(QUERIES)


def retrieval_values(scores_QN, first=0):
    """Values by query named from `first` on, two queries a video."""
    names = tuple(f"q{n}" for n in range(first, first + QUERIES))
    videos = tuple(f"v{n // 2}" for n in range(QUERIES))
    place = ranks(scores_QN, [[n] for n in range(QUERIES)])
    figures = {
        "t2v_r1": recall_at(1, place), "t2v_r5": recall_at(5, place),
        "t2v_mnr": place.astype(np.float64), "t2v_tied": np.zeros(QUERIES),
    }  # fmt: skip
    return {n: PerQuery(queries=names, videos=videos, values_Q=v) for n, v in figures.items()}


def save_retrieval(folder: Path, model="mini", *, seed=1, skill=2.0, first=0, **changes) -> Path:
    scores_QN = scores(seed, skill)
    names = [f"q{n}" for n in range(QUERIES)], [f"v{n}" for n in range(QUERIES)]
    lists = first_of(scores_QN, [[n] for n in range(QUERIES)], names=names)
    values = retrieval_values(scores_QN, first)
    found = evaluation("msr-vtt", values, model, rankings={"t2v": lists}, **changes)
    return save_evaluation(found, folder)


def save_moments(folder: Path, videos: tuple[str, ...], model="mini", texts="a door opens") -> Path:
    """Of each video one window of 1 to 2 s, told ever further from it."""
    asked = [
        Sought(f"{video}#0", Film(video, Path(video)), texts, np.array([[1.0, 2.0]]))
        for video in videos
    ]
    told = {
        each.name: Told(np.array([[1.0 + n / 2, 2.0 + n / 2, 0.5]]), np.zeros(0))
        for n, each in enumerate(asked)
    }
    lists = {"moments": told_windows(asked, told)}
    found = evaluation("charades-sta", judged(asked, told), model, rankings=lists)
    return save_evaluation(found, folder)


def other(model="other", **changes) -> dict[str, object]:
    """What makes a second model of a saved one."""
    return {"model": model, "spec": replace(spec(model), weights="2" * 64), **changes}
