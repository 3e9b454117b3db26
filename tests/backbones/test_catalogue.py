"""The catalogue's numbers are the published ones, and those of really loaded models."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from kinoscope import libraries
from kinoscope.backbones import catalogue
from kinoscope.backbones.catalogue import CatalogueEntry, Published, describe, entries, table
from kinoscope.backbones.families import FAMILIES, family_of
from kinoscope.errors import UsageError
from tests.tiny import FAMILIES as TINY
from tests.tiny import HIDDEN, LAYERS, tiny, tiny_text_only

KNOWN = {checkpoint.name: checkpoint for checkpoint in catalogue.published()}
PRECISIONS = ["float32", "bfloat16", "8bit", "4bit"]


@pytest.fixture(scope="module")
def built() -> dict[str, CatalogueEntry]:
    """Every entry by name; all together take some three seconds."""
    return {entry.name: entry for entry in entries()}


@pytest.fixture(scope="module")
def tiny_folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tiny")
    return {family: tiny(family, folder / family) for family in TINY}


def loaded(folder: Path) -> Any:
    """The model of a tiny checkpoint, with its weights."""
    config = json.loads((folder / "config.json").read_text())
    name = family_of(config["model_type"]).model_class
    return getattr(libraries.transformers(), name).from_pretrained(folder).eval()


def in_language_model(name: str) -> bool:
    """By the name of a parameter, as opposed to by the module it belongs to."""
    return bool(re.match(r"(model\.(language_model|text_model)|lm_head)\.", name))


def changed_config(folder: Path, target: Path, **text: object) -> Path:
    """A folder with nothing but `folder`'s config, its text part changed."""
    config = json.loads((folder / "config.json").read_text())
    config["text_config"].update(text)
    target.mkdir()
    (target / "config.json").write_text(json.dumps(config))
    return target


def test_every_checkpoint_of_every_file_has_an_entry(built) -> None:
    configs = Path(catalogue.__file__).parent / "configs"
    names = [name for file in configs.iterdir() for name in json.loads(file.read_text())]
    assert len(names) >= 20
    assert sorted(built) == sorted(names)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.model_class)
def test_the_checkpoint_that_people_are_pointed_to_is_of_its_family(family) -> None:
    assert KNOWN[family.reference].family is family


@pytest.mark.parametrize("checkpoint", KNOWN.values(), ids=KNOWN)
def test_the_built_model_has_the_published_count_of_parameters(
    checkpoint: Published, built: dict[str, CatalogueEntry]
) -> None:
    expected = checkpoint.parameters + checkpoint.added
    rounded = expected % 1_000_000 == 0
    assert math.isclose(
        built[checkpoint.name].parameters, expected, rel_tol=0.001 if rounded else 0
    )
    assert len(checkpoint.source) > 20
    assert checkpoint.note or not checkpoint.added, "what is random must be said"


@pytest.mark.parametrize(
    ("name", "dimension", "layers", "context"),
    [
        ("Qwen/Qwen2-VL-7B-Instruct", 3584, 28, 32_768),
        ("Qwen/Qwen2.5-VL-3B-Instruct", 2048, 36, 128_000),
        ("Qwen/Qwen3-VL-Embedding-8B", 4096, 36, 262_144),
        ("Qwen/Qwen3-VL-Embedding-2B", 2048, 28, 262_144),
        ("HuggingFaceTB/SmolVLM2-2.2B-Instruct", 2048, 24, 8_192),
        ("llava-hf/llava-onevision-qwen2-0.5b-ov-hf", 896, 24, 32_768),
        ("OpenGVLab/InternVL3-2B-hf", 1536, 28, 32_768),
        ("google/paligemma2-3b-pt-224", 2304, 26, 8_192),
    ],
)
def test_shape_and_context_are_those_of_the_model_cards(
    name: str, dimension: int, layers: int, context: int, built: dict[str, CatalogueEntry]
) -> None:
    entry = built[name]
    assert (entry.dimension, entry.layers, entry.context) == (dimension, layers, context)
    assert entry.family == KNOWN[name].model_type


def test_the_vectors_are_as_long_as_the_text_models_states(built) -> None:
    library = libraries.transformers()
    for checkpoint in KNOWN.values():
        config = library.AutoConfig.for_model(checkpoint.model_type, **checkpoint.config)
        assert built[checkpoint.name].dimension == config.get_text_config().hidden_size


def test_memory_shrinks_with_precision(built) -> None:
    for entry in built.values():
        memory = entry.memory_gb
        assert list(memory) == PRECISIONS
        assert memory["float32"] == 2 * memory["bfloat16"] == 4 * entry.parameters / 1e9
        assert memory["bfloat16"] > memory["8bit"] > memory["4bit"]
        assert memory["8bit"] > memory["bfloat16"] / 2  # embeddings and head keep theirs
        assert memory["4bit"] > memory["bfloat16"] / 4


def test_a_cache_grows_with_layers_and_heads(built) -> None:
    """Qwen2-VL-7B: 28 layers, a key and a value of 4 heads of 128 numbers, two bytes each."""
    expected = 1000 * 28 * 2 * 4 * 128 * 2 / 1e6
    assert built["Qwen/Qwen2-VL-7B-Instruct"].kv_mb_per_1000_tokens == pytest.approx(expected)
    assert built["google/paligemma-3b-pt-224"].kv_mb_per_1000_tokens == pytest.approx(
        1000 * 18 * 2 * 256 * 2 / 1e6  # one head
    )


@pytest.mark.parametrize("family", TINY)
def test_a_folder_is_described_as_it_loads(family: str, tiny_folders: dict[str, Path]) -> None:
    folder = tiny_folders[family]
    model, entry = loaded(folder), describe(folder)
    named = dict(model.named_parameters())
    assert entry.parameters == sum(values.numel() for values in named.values())
    assert entry.vision_parameters == sum(
        values.numel() for name, values in named.items() if not in_language_model(name)
    )
    assert (entry.name, entry.dimension, entry.layers) == (str(folder), HIDDEN, LAYERS)
    assert entry.family == model.config.model_type


@pytest.mark.parametrize("family", TINY)
def test_a_cache_is_as_large_as_said(family: str, tiny_folders: dict[str, Path]) -> None:
    torch, model = libraries.torch(), loaded(tiny_folders[family])
    cache = libraries.transformers().DynamicCache()
    decoder = getattr(model.model, "language_model", None) or model.model.text_model
    with torch.inference_mode():
        decoder(inputs_embeds=torch.zeros(1, 10, HIDDEN), past_key_values=cache, use_cache=True)
    numbers = sum(layer.keys.numel() + layer.values.numel() for layer in cache.layers)
    said_mb = describe(tiny_folders[family]).kv_mb_per_1000_tokens
    assert said_mb == pytest.approx(100 * 2 * numbers / 1e6)


@pytest.mark.parametrize("family", TINY)
def test_quantised_memory_counts_every_matrix_but_head_and_embeddings(
    family: str, tiny_folders: dict[str, Path]
) -> None:
    folder = tiny_folders[family]
    matrices = [
        values
        for name, values in loaded(folder).named_parameters()
        if values.ndim == 2 and not re.search(r"embed_tokens|lm_head|pos|class_embedding", name)
    ]
    weights = sum(values.numel() for values in matrices)
    memory = describe(folder).memory_gb
    saved = {name: 1e9 * (memory["bfloat16"] - gb) for name, gb in memory.items()}
    assert saved["8bit"] == pytest.approx(weights - 4 * sum(len(values) for values in matrices))
    assert saved["4bit"] == pytest.approx(1.5 * weights - 4 * weights / 64)


def test_no_weights_are_read(tiny_folders: dict[str, Path], tmp_path: Path) -> None:
    alone = changed_config(tiny_folders["qwen3_vl"], tmp_path / "alone")
    assert describe(alone).parameters == describe(tiny_folders["qwen3_vl"]).parameters


def test_a_flat_config_as_older_checkpoints_have_it_describes_the_same(tmp_path: Path, built):
    name = "Qwen/Qwen2-VL-2B-Instruct"
    checkpoint = KNOWN[name]
    flat = {
        "model_type": "qwen2_vl",
        **checkpoint.config["text_config"],
        "tie_word_embeddings": True,
        "vision_config": {**checkpoint.config["vision_config"], "model_type": "qwen2_vl"},
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
        "torch_dtype": "bfloat16",
    }
    (tmp_path / "config.json").write_text(json.dumps(flat))
    found, expected = describe(tmp_path), built[name]
    assert found.parameters == expected.parameters
    assert found.memory_gb == expected.memory_gb


def test_rows_of_the_table_are_plain_values_under_equal_names(built) -> None:
    rows = table(built.values())
    assert json.loads(json.dumps(rows)) == rows
    assert len({tuple(row) for row in rows}) == 1
    by_name = {row["name"]: row for row in rows}
    row = by_name["Qwen/Qwen3-VL-8B-Instruct"]
    assert (row["parameters"], row["bfloat16_gb"], row["dimension"]) == (8767123696, 17.53, 4096)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ({"hidden_size": "many"}, "expected int, got str"),
        ({"num_attention_heads": 0}, "by zero"),
        ({"num_attention_heads": 7}, "must be divisible"),
        ({"hidden_size": -4}, "negative dimension"),
        ({"hidden_act": "none such"}, "none such"),
    ],
)
def test_a_config_that_describes_no_model_is_a_sentence(
    text: dict[str, object], reason: str, tiny_folders: dict[str, Path], tmp_path: Path
) -> None:
    folder = changed_config(tiny_folders["qwen2_vl"], tmp_path / "wrong", **text)
    with pytest.raises(UsageError, match=rf"config\.json describes no Qwen2VL.*{reason}.*again$"):
        describe(folder)


def test_a_folder_that_holds_no_video_model_is_refused_as_when_loading(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"absent holds no config\.json"):
        describe(tmp_path / "absent")
    with pytest.raises(UsageError, match=r"text-only model .* choose one of qwen2_vl"):
        describe(tiny_text_only(tmp_path / "text"))
    (tmp_path / "config.json").write_text('{"model_type": "other", "vision_config": {}}')
    with pytest.raises(UsageError, match="of the family other; supported are qwen2_vl"):
        describe(tmp_path)
