"""A recipe goes on with a stage that is complete, and with no other."""

from dataclasses import replace
from pathlib import Path

import pytest

from kinoscope.training.progress import Progress, Report
from recipes import ablation_gcm, stages

AFTER = Progress(step=63)


def ends(monkeypatch, ended):
    """Every training ends like this at once; the stages that were begun."""
    begun = []

    def run(recipe, root, stage, *, tell):
        begun.append((root.name, stage))
        report = Report(ended=ended, progress=AFTER, last=Path("last"), best=None)
        return report, recipe.model()

    monkeypatch.setattr(stages, "run", run)
    return begun


def recipe():
    return replace(ablation_gcm.tasks(), model=lambda: "a model")


@pytest.mark.parametrize("ended", ["finished", "early"])
def test_the_model_of_a_complete_stage_is_given(monkeypatch, ended) -> None:
    ends(monkeypatch, ended)
    assert stages.trained(recipe(), Path("run"), 2) == "a model"


def test_nothing_is_built_on_a_stage_that_somebody_stopped(monkeypatch, capsys) -> None:
    begun = ends(monkeypatch, "stopped")
    monkeypatch.setattr(ablation_gcm, "warm_up", recipe)
    with pytest.raises(SystemExit) as found:
        ablation_gcm.main(["gcm"])
    assert found.value.code == 130
    assert begun == [("ablation_gcm", 0)], "its later stages are not begun"
    assert "stopped after step 63 of" in capsys.readouterr().out
