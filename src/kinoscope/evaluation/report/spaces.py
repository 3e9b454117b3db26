"""What `kinoscope analyze` saved: figures of each model's space, the gap drawn, its pictures."""

from collections.abc import Iterator

from kinoscope.errors import MediaError
from kinoscope.evaluation.report.blocks import Picture, Section, Table, shown
from kinoscope.evaluation.report.figures import cell
from kinoscope.evaluation.report.gathered import Analysed
from kinoscope.evaluation.report.markup import element, line_chart
from kinoscope.evaluation.report.strips import data_uri
from kinoscope.evaluation.results import Metric
from kinoscope.video.picture import read_picture

_PICTURES = {
    "space.png": "Videos and texts of each model on their two principal directions, means joined",
    "margins.png": "How much nearer right sentences are than wrong ones, by part",
}
_MOST_PX = 1400
_FARTHEST = 2.0
"""The norm of a difference of two means of unit vectors is at most this."""


def space_section(found: Analysed) -> Section:
    """A table with a row a figure, the gap beside recall, the pictures that lie beside the file."""
    names = list(dict.fromkeys(name for each in found.models.values() for name in each))
    table = Table(
        caption="Figures of the space; shares in percent, with 95 % interval where there is one",
        head=["figure", *(shown(model) for model in found.models)],
        rows=[
            [shown(name), *(_cell(name, each.get(name)) for each in found.models.values())]
            for name in names
        ],
        numbers=True,
    )
    return Section(
        title=f"Space: {shown(found.folder.name)}",
        blocks=[table, *_gaps(found), *_pictures(found)],
    )


def _cell(name: str, metric: Metric | None) -> str:
    """Recall in percent; gap, alignment, uniformity, rank and margins as they are."""
    if metric is None:
        return "-"
    if name.startswith("t2v_r"):
        return cell(name, metric)
    low, value, high = (f"{each:.3f}" for each in metric.interval)
    return value if low == value == high else f"{value} ({low} to {high})"


def _gaps(found: Analysed) -> Iterator[Picture]:
    """R@1 over the gap, a point a model joined in order: whether closing it pays."""
    points = [
        (metrics["gap"].value, metrics["t2v_r1"].value)
        for metrics in found.models.values()
        if "gap" in metrics and "t2v_r1" in metrics
    ]
    inside = [(g / _FARTHEST, r) for g, r in points if 0 <= g <= _FARTHEST and 0 <= r <= 1]
    if len(inside) > 1:
        order = ", ".join(shown(model) for model in found.models)
        yield Picture(
            element=line_chart(
                [("models in order", inside)],
                axes=("modality gap", "text to video R@1, %"),
                marks=[(part / 4, f"{part / 4 * _FARTHEST:.1f}") for part in range(5)],
                title=f"R@1 over the modality gap, joined in the order {order}",
            ),
            caption=f"R@1 over the modality gap, joined in the order {order}",
        )


def _pictures(found: Analysed) -> Iterator[Picture | str]:
    for name, caption in _PICTURES.items():
        path = found.folder / name
        if not path.is_file():
            continue
        try:
            frames = read_picture(path, side_px=None, max_pixels=_MOST_PX * _MOST_PX)
        except MediaError as error:
            yield f"{name} is not shown: {shown(error)}"
            continue
        photo = element("img", src=data_uri(frames.rgb_FHWC[0]), alt=caption, loading="lazy")
        yield Picture(element=photo, caption=caption)
