"""`kinoscope report` and `kinoscope export-run` as a person meets them."""

import pytest

from tests.evaluation.report.made import QUERIES, other, save_moments, save_retrieval


def test_report_says_what_it_wrote_and_what_it_left_out(run, tmp_path):
    save_retrieval(tmp_path / "saved")
    save_retrieval(tmp_path / "saved", **other())
    (tmp_path / "saved" / "foreign.json").write_text("{}")
    code, out, err = run("report", tmp_path / "saved", "--to", tmp_path / "to")
    assert code == 0
    assert out.split() == [str(tmp_path / "to" / f"report.{form}") for form in ("md", "html")]
    assert "2 evaluations, 0 analyses, 1 files left out" in err and "foreign.json" in err
    assert "msr-vtt: other against mini" in err
    assert (tmp_path / "to" / "report.html").read_text().startswith("<!doctype html>")


def test_report_of_nothing_is_one_sentence(run, tmp_path):
    code, out, err = run("report", tmp_path, "--to", tmp_path / "to")
    assert code == 2 and out == "" and "no saved evaluation in" in err
    save_retrieval(tmp_path)
    (tmp_path / "file").write_text("")
    code, _, err = run("report", tmp_path, "--to", tmp_path / "file")
    assert code == 6 and f"cannot write in {tmp_path / 'file'}" in err


@pytest.mark.parametrize(("form", "judged"), [("trec", "t2v.qrels"), ("beir", "qrels/t2v.tsv")])
def test_lists_are_exported(run, tmp_path, form, judged):
    path = save_retrieval(tmp_path)
    code, out, _ = run("export-run", path, "--format", form, "--to", tmp_path / "to")
    assert code == 0 and out.split() == [str(tmp_path / "to" / n) for n in ("t2v.run", judged)]
    lines = (tmp_path / "to" / "t2v.run").read_text().splitlines()
    assert len(lines) == QUERIES**2 and lines[0].startswith("q0 Q0 ")
    assert lines[0].endswith(path.parent.name), "the tag is the model with its spec"


def test_mistakes_in_exporting_are_sentences(run, tmp_path):
    path = save_retrieval(tmp_path)
    code, _, err = run("export-run", path, "--format", "csv", "--to", tmp_path)
    assert code == 2 and "--format 'csv': choose trec or beir" in err
    code, _, err = run("export-run", save_moments(tmp_path, ("a",)), "--to", tmp_path)
    assert code == 2 and "cannot say how far windows overlap" in err
    code, _, err = run("export-run", tmp_path / "absent.json", "--to", tmp_path)
    assert code == 2 and "cannot read" in err
