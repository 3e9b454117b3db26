"""What other tools get from our models, and what compact vectors keep: parity and recall."""

import tempfile
import warnings
from pathlib import Path

import numpy as np

from kinoscope import libraries
from kinoscope.backbones.options import LoadOptions
from kinoscope.embedder import Embedder
from kinoscope.errors import UsageError
from kinoscope.evaluation.results import Metric, save_result
from kinoscope.interop.mteb import wrap
from recipes.compact_recall import measure
from tests.interop.parity import parity
from tests.tiny import FAMILIES, tiny

CONSTANT = "MockVisualSTS"
"""Its gold scores are all equal, so that no model has a correlation with them."""


def main() -> None:
    """Measures all of it and saves `results/interop.json`."""
    exported, refused = exports()
    scores = mock_scores()
    least = min(min(row.values()) for row in exported.values())
    passed = [name for name, score in scores.items() if np.isfinite(score)]
    metrics = {
        "st_cosine": Metric(value=least, n=sum(map(len, exported.values()))),
        "st_families": Metric(value=len(exported), n=len(FAMILIES)),
        "mteb_ok": Metric(value=len(passed) / len(scores), n=len(scores)),
        "mteb_tasks": Metric(value=len(scores), n=len(scores)),
        **measure(),
    }
    rounded = {name: round(score, 4) for name, score in scores.items()}
    details = {"export": exported, "refused": refused, "mteb": rounded}
    save_result("interop", metrics, details=details)
    for name, metric in metrics.items():
        print(f"{name:>30} {metric.value:.6f}")


def exports() -> tuple[dict[str, dict[str, float]], dict[str, str]]:
    """By family: least cosine by modality of the exported folder, or why there is none."""
    found, refused = {}, {}
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as folder:
            try:
                found[family] = parity(tiny(family, Path(folder) / "tiny"))
            except UsageError as error:
                refused[family] = str(error).replace(folder, "")
    return found, refused


def mock_scores() -> dict[str, float]:
    """Main score of every mock task of mteb that takes texts, pictures or videos."""
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scores over two or three rows
        options = LoadOptions(template="instruction")
        model = wrap(Embedder.load(str(tiny("qwen3_vl", Path(folder) / "tiny")), options=options))
        library = libraries.imported("mteb")
        mocks = libraries.imported("mteb.mocks.mock_run")
        scores = {}
        for task in mocks.get_compatible_mock_tasks(model):
            if task.metadata.name == CONSTANT:
                continue
            result = library.evaluate(model, [task], cache=None, show_progress_bar=False)
            scores[task.metadata.name] = float(result.task_results[0].get_score())
        return scores


if __name__ == "__main__":
    main()
