"""What tuning does to a model's space: retrieval, gap and spread, margins by part; and pictures."""

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from kinoscope.backbones.protocol import Backbone
from kinoscope.durable import flush
from kinoscope.errors import MediaError, SetupError, UsageError
from kinoscope.evaluation.margins import Margins, margins_of
from kinoscope.evaluation.metrics import mean_with_interval, recall_at
from kinoscope.evaluation.results import Metric
from kinoscope.evaluation.space import Space, projected, space_of
from kinoscope.evaluation.world.retrieval import CUTOFFS, own_ranks
from kinoscope.evaluation.world.vectors import embed_clips, embed_texts
from kinoscope.libraries import imported
from kinoscope.thinking.thinker import Thinker
from kinoscope.training.journal import read_journal
from kinoscope.training.sources import FeatureCache, Source
from kinoscope.training.triplets import Triplet
from kinoscope.types import Features, Float32

_PLOTS = "pip install 'kinoscope[train]'"
_COLOURS = ("tab:blue", "tab:orange")
_LEAST_VIDEOS = 3
_VALIDATED = "validate/"
_COLUMNS = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Analysis:
    """One model, on videos with a text each, and on triplets.

    Attributes:
        name: for people.
        keys: of the videos.
        videos_ND, texts_ND: unit vectors; text i is of video i.
        margins: None without triplets.
    """

    name: str
    keys: tuple[str, ...]
    videos_ND: Float32 = field(repr=False)
    texts_ND: Float32 = field(repr=False)
    margins: Margins | None = None

    @property
    def space(self) -> Space:
        """Gap, alignment, uniformity and rank."""
        return space_of(self.videos_ND, self.texts_ND)

    def metrics(self) -> dict[str, Metric]:
        """`t2v_r1`, `_r5`, `_r10`, those of `Space` without intervals, and those of `Margins`."""
        found, count = own_ranks(self.texts_ND, self.videos_ND), len(self.keys)
        return {
            **{f"t2v_r{k}": mean_with_interval(recall_at(k, found), self.keys) for k in CUTOFFS},
            **{name: Metric(value=v, n=count) for name, v in asdict(self.space).items()},
            **({} if self.margins is None else self.margins.metrics()),
        }


def analysed(
    name: str,
    model: Backbone | Thinker,
    source: Source,
    cache: FeatureCache,
    *,
    count: int,
    triplets: Sequence[Triplet] = (),
) -> Analysis:
    """A model on the first `count` videos of a source that have a caption, and on triplets.

    The first caption of each is its text; videos without frames are left out, and stand in
    `cache.failures`. Raises `UsageError` for fewer than three such videos.
    """
    told = (n for n in range(len(source)) if source.example(n).captions)
    seen: list[int] = []

    def clips() -> Iterator[Features]:
        for number in islice(told, count):
            with suppress(MediaError):  # is in `cache.failures`
                clip = cache.features(source, number)
                seen.append(number)
                yield clip

    videos_ND = embed_clips(model, clips())
    if len(seen) < _LEAST_VIDEOS:
        raise UsageError(
            f"{source.name} has {len(seen)} videos with a caption and frames:"
            f" {_LEAST_VIDEOS} are needed"
        )
    return Analysis(
        name=name,
        keys=tuple(source.key(n) for n in seen),
        videos_ND=videos_ND,
        texts_ND=embed_texts(model, (source.example(n).captions[0] for n in seen)),
        margins=margins_of(model, triplets) if triplets else None,
    )


def draw_clouds(found: Sequence[Analysis], file: Path) -> None:
    """A panel a model: its videos and texts, each on its own two principal directions.

    A line joins the means: the gap, as far as these directions show it.
    Raises `SetupError` without matplotlib, or where the disk refuses.
    """
    figure, panels = _figure(len(found))
    for axes, one in zip(panels, found, strict=True):
        clouds = projected(one.videos_ND, one.texts_ND)
        for cloud_N2, colour, label in zip(clouds, _COLOURS, ("videos", "texts"), strict=True):
            axes.scatter(*cloud_N2.T, s=6, alpha=0.5, color=colour, label=label)
        axes.plot(*zip(*(cloud_N2.mean(axis=0) for cloud_N2 in clouds), strict=True), "k.-")
        axes.set_title(f"{one.name}: gap {one.space.gap:.3f}")
        axes.set_aspect("equal", adjustable="datalim")
    panels[0].legend()
    _save(figure, file)


def draw_margins(found: Sequence[Analysis], file: Path) -> None:
    """A panel a model: quartiles of the margins of each part; left of 0 the wrong one is nearer.

    Raises `UsageError` for a model that was analysed without triplets, and as `draw_clouds`.
    """
    figure, panels = _figure(len(found))
    for axes, one in zip(panels, found, strict=True):
        if one.margins is None:
            raise UsageError(f"{one.name} has no margins: analyse it with triplets")
        parts = list(dict.fromkeys(one.margins.parts))[::-1]
        axes.boxplot([one.margins.of(part) for part in parts], orientation="horizontal")
        axes.set_yticks(range(1, len(parts) + 1), parts)
        axes.axvline(0, color="grey", linewidth=0.8)
        axes.set_title(one.name)
    _save(figure, file)


def curves_of(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What a training's validations measured, by name: (step, value), ascending.

    Raises `UsageError` for a folder without a journal, or a run that was never validated.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for record in read_journal(run):
        for name, value in record.items():
            if name.startswith(_VALIDATED) and value is not None and math.isfinite(value):
                short = name.removeprefix(_VALIDATED)
                found.setdefault(short, []).append((int(record["step"]), float(value)))
    if not found:
        raise UsageError(f"{run} was never validated: give its recipe a validate")
    return found


def draw_curves(curves: Mapping[str, Sequence[tuple[int, float]]], file: Path) -> None:
    """A small panel a figure, over the steps of the training; raises as `draw_clouds`."""
    rows = -(-len(curves) // _COLUMNS)
    figures = imported("matplotlib.figure", _PLOTS)
    figure = figures.Figure(figsize=(3 * _COLUMNS, 2 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, sharex=True, squeeze=False).ravel()
    for axes, (name, points) in zip(panels, curves.items(), strict=False):
        axes.plot(*zip(*points, strict=True), marker=".")
        axes.set_title(name, fontsize="small")
    for axes in panels[len(curves) :]:
        axes.set_axis_off()
    _save(figure, file)


def _figure(panels: int) -> tuple[Any, Sequence[Any]]:
    figures = imported("matplotlib.figure", _PLOTS)
    figure = figures.Figure(figsize=(5 * panels, 4.5), layout="constrained")
    return figure, figure.subplots(1, panels, squeeze=False)[0]


def _save(figure: Any, file: Path) -> None:
    """Whole or not at all."""
    partial = file.with_name(f"{file.name}.partial")
    try:
        figure.savefig(partial, format="png")
        flush(partial)
        partial.replace(file)
    except OSError as error:
        raise SetupError(f"cannot write {file} ({error.strerror}): choose another place") from error
    finally:
        partial.unlink(missing_ok=True)


def table(found: Sequence[Analysis]) -> list[str]:
    """Lines with a figure each, a column a model; `-` where a model has no such figure."""
    columns: list[Mapping[str, Metric]] = [one.metrics() for one in found]
    names = list(dict.fromkeys(name for column in columns for name in column))
    width = max(len(name) for name in names)
    lines = [f"{'':<{width}}  {'  '.join(f'{one.name[-24:]:>24}' for one in found)}"]
    for name in names:
        cells = [_cell(column.get(name)) for column in columns]
        lines.append(f"{name:<{width}}  {'  '.join(f'{cell:>24}' for cell in cells)}")
    return lines


def _cell(metric: Metric | None) -> str:
    if metric is None:
        return "-"
    low, value, high = metric.interval
    return f"{value:.3f}" if low == high == value else f"{value:.3f} [{low:.3f}, {high:.3f}]"
