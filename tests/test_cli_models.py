"""Commands on models: what they print and write, and one sentence for each mistake."""

import json

import pytest

from kinoscope import Embedder, mini_weights, weights
from tests.tiny import tiny, tiny_text_only


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return tiny("qwen2_vl", tmp_path_factory.mktemp("model") / "tiny")


def test_models_lists_full_size_checkpoints_with_their_needs(run) -> None:
    code, out, _ = run("models", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    qwen = next(row for row in rows if row["name"] == "Qwen/Qwen3-VL-8B-Instruct")
    assert (qwen["dimension"], qwen["billions"]) == (4096, 8.77)
    title, *lines = run("models")[1].splitlines()
    assert title.split()[:4] == ["name", "billions", "vector", "tokens"]
    assert sum(row["name"] in line for row in rows for line in lines) >= len(rows)


def test_models_describes_a_folder(run, checkpoint) -> None:
    code, out, _ = run("models", checkpoint, "--json")
    (row,) = map(json.loads, out.splitlines())
    assert (code, row["name"], row["dimension"]) == (0, str(checkpoint), 64)


@pytest.mark.parametrize("form", ["sentence-transformers", "transformers"])
def test_an_exported_model_gives_the_vectors_of_its_source(run, checkpoint, tmp_path, form) -> None:
    code, _, err = run("export", checkpoint, "--format", form, "--to", tmp_path / "out")
    assert code == 0, err
    assert f"{form} model in" in err
    source, copy = Embedder.load(str(checkpoint)), Embedder.load(str(tmp_path / "out"))
    texts = ["a door opens", "a door closes"]
    cosines = (source.encode_query(texts) * copy.encode_query(texts)).sum(axis=1)
    assert cosines.min() >= 0.9999


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (["export", "MODEL", "--to", "out", "--format", "onnx"], 2, "--format 'onnx': choose sent"),
        (["export", "concepts", "--to", "out"], 2, "concepts"),
        (["export", "MODEL", "--to", "."], 2, "there already"),
        (["export", "MODEL", "--to", "out", "--option", "layer=2"], 2, "layer"),
        (["models", "absent"], 2, "holds no config.json"),
        (["setup", "no such model"], 2, "model 'no such model' is unknown"),
        (["index", ".", "--model", "concepts", "--option", "dtype=float32"], 2, "takes no options"),
        (["doctor", "--model", "absent"], 2, "model 'absent' is unknown"),
    ],
)
def test_a_mistake_is_one_sentence(
    run, checkpoint, tmp_path, monkeypatch, words, code, sentence
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KINOSCOPE_INDEX", str(tmp_path / "index"))
    (tmp_path / "full").write_text("x")
    found, _, err = run(*[checkpoint if word == "MODEL" else word for word in words])
    assert (found, "Traceback" in err) == (code, False), err
    assert sentence in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("words", "fetched"), [((), "concepts"), (("concepts",), "concepts"), (("mini",), "mini")]
)
def test_setup_fetches_one_built_in_model(run, monkeypatch, tmp_path, words, fetched) -> None:
    for name, module in (("concepts", weights), ("mini", mini_weights)):
        monkeypatch.setattr(module, "setup", lambda report, name=name: tmp_path / name)
    code, _, err = run("setup", *words)
    assert (code, err) == (0, f"model ready in {tmp_path / fetched}\n")


def test_a_text_only_model_is_named_as_such(run, tmp_path) -> None:
    folder = tiny_text_only(tmp_path / "text")
    code, _, err = run("doctor", "--model", folder)
    assert code == 2
    assert "text-only model (qwen2): it cannot see video" in err


def test_doctor_measures_a_checkpoint(run, checkpoint) -> None:
    code, out, _ = run("doctor", "--model", checkpoint, "--json")
    checks = {row["name"]: row for row in map(json.loads, out.splitlines())}
    assert code == 0
    assert checks["batch parity"]["value"] >= 0.9999
    assert checks["order"]["verdict"] == "ok", "a multimodal LLM is not blind to order"
    assert "weights" not in checks, "those of the built-in model"
