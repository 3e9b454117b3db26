"""MTEB's own mock tasks in our form of result, without network."""

import math
from pathlib import Path

import pytest

from kinoscope import libraries
from kinoscope.backbones.options import LoadOptions
from kinoscope.embedder import Embedder
from kinoscope.errors import SetupError, UsageError
from kinoscope.evaluation.runner import mteb_tasks
from kinoscope.evaluation.runner.asking import Asking
from kinoscope.evaluation.runner.kept import Kept
from kinoscope.evaluation.runner.run import Wanted, evaluate
from kinoscope.evaluation.saved import read_evaluation, save_evaluation
from kinoscope.evaluation.tasks.protocol import Options
from kinoscope.interop.mteb import wrap
from tests.evaluation.runner.made import TOLD, embedder
from tests.tiny import tiny


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    folder = tiny("qwen3_vl", tmp_path_factory.mktemp("qwen3"))
    return Embedder.load(str(folder), options=LoadOptions(template="instruction"))


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")  # of scores of 2 rows
@pytest.mark.parametrize("name", ["MockRetrievalTask", "MockVideoRetrievalT2V"])
def test_a_task_becomes_a_result_and_its_texts_are_not_embedded_again(
    name: str, model: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_network: None
) -> None:
    asking = Asking(model, Kept(model.spec, tmp_path / "kept"))
    mocks = libraries.imported("mteb.mocks.mock_run").get_compatible_mock_tasks(wrap(asking))
    task = next(t for t in mocks if t.metadata.name == name)
    mteb = libraries.imported("mteb")
    monkeypatch.setattr(mteb, "get_task", lambda asked: {name: task}[asked])
    first = evaluate(Wanted(name=f"mteb:{name}"), asking, TOLD)
    told = first.protocol.details
    assert told["task"] == name
    main = str(told["main_score"])
    keys = [key for key in first.metrics if key == main or key.endswith(f": {main}")]
    parts = [first.metrics[key].value for key in keys]
    assert first.metrics["main_score"].value == pytest.approx(sum(parts) / len(parts))
    assert first.vectors["embedded"] > 0 and first.protocol.gallery + len(asking.texts) > 2
    assert all(math.isfinite(metric.value) for metric in first.metrics.values())
    path = save_evaluation(first, tmp_path / "to")
    assert path.name == f"mteb-{name}.json"
    assert read_evaluation(path).values == {}
    second = evaluate(Wanted(name=f"mteb:{name}"), asking, TOLD)
    assert second.vectors["cached"] > 0
    if name == "MockRetrievalTask":  # videos of the other are other ones each time
        assert second.vectors["embedded"] == 0 and second.metrics == first.metrics
        plain = mteb.evaluate(wrap(model), [task], cache=None, show_progress_bar=False)
        score = plain.task_results[0].get_score()
        assert score == pytest.approx(first.metrics["main_score"].value)


def test_unknown_tasks_and_options_are_refused(tmp_path: Path, monkeypatch) -> None:
    asked = embedder()
    asking = Asking(asked, Kept(asked.spec, tmp_path))
    with pytest.raises(UsageError, match="mteb:X is run whole, on its own split: leave --limit"):
        evaluate(Wanted(name="mteb:X", options=Options(limit=3)), asking, TOLD)
    with pytest.raises(UsageError, match="MTEB has no task 'NoSuchTask'"):
        evaluate(Wanted(name="mteb:NoSuchTask"), asking, TOLD)
    monkeypatch.setitem(__import__("sys").modules, "mteb", None)
    with pytest.raises(SetupError, match=r"pip install 'kinoscope\[eval\]'"):
        evaluate(Wanted(name="mteb:MSRVTTT2V"), asking, TOLD)
    assert mteb_tasks.PREFIX == "mteb:"
