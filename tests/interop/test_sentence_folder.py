"""A folder that sentence-transformers saved gives its vectors here, or is refused in a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kinoscope import Embedder, libraries
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.sentence_folder import sentence_folder
from kinoscope.errors import UsageError
from tests.interop.parity import (
    TEXTS,
    Inputs,
    inputs,
    least_cosine,
    least_cosines,
    load_sentence_transformer,
)
from tests.tiny import moving_frames, tiny

SAME = 0.9999
QUERY = "Retrieve images or text relevant to the user's query."
DOCUMENT = "Represent the user's input."
PROMPTS = {"prompts": {"query": QUERY, "document": DOCUMENT}, "default_prompt_name": "document"}
ASSISTANT = {"chat_template": {"add_generation_prompt": True}}
CHOSEN = {"video": {"do_sample_frames": False}}  # frames of the comparison are chosen already
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "smolvlm", "llava_onevision", "internvl")

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Save:
    """Saves a tiny checkpoint as a user of sentence-transformers does; the folder."""

    def made(
        family: str, *pooling: Any, processing: dict[str, Any] | None = None, **model: Any
    ) -> Path:
        libraries.transformers()
        library = libraries.imported("sentence_transformers")
        kinds = libraries.imported("sentence_transformers.sentence_transformer.modules")
        source = tiny(family, tmp_path_factory.mktemp(family))
        options = {**CHOSEN, **(processing or {})}
        transformer = kinds.Transformer(str(source), processing_kwargs=options)
        size = transformer.get_embedding_dimension()
        modules = [transformer, kinds.Pooling(size, pooling[0])]
        modules += [getattr(kinds, name)() for name in pooling[1:]]
        whole = library.SentenceTransformer(modules=modules, device="cpu", **model)
        whole.save_pretrained(str(tmp_path / "saved"), create_model_card=False)
        return tmp_path / "saved"

    return made


def comparable() -> Inputs:
    """Without control words of the models: only we split them."""
    return inputs(TEXTS)


def assert_same(folder: Path) -> Embedder:
    embedder = Embedder.load(str(folder))
    found = least_cosines(embedder, load_sentence_transformer(folder), comparable())
    assert min(found.values()) >= SAME, found
    return embedder


@pytest.mark.filterwarnings("ignore:.*no language-model head")  # the library saves none
@pytest.mark.parametrize("family", FAMILIES)
def test_last_token_behind_an_instruction_gives_the_same_vectors(family: str, save: Save) -> None:
    folder = save(family, "lasttoken", "Normalize", processing=ASSISTANT, **PROMPTS)
    assert assert_same(folder).spec.head == "last"


@pytest.mark.filterwarnings("ignore:.*no language-model head")
@pytest.mark.parametrize("family", ("qwen3_vl", "smolvlm", "internvl"))
def test_the_mean_without_prompts_gives_the_same_vectors(family: str, save: Save) -> None:
    assert assert_same(save(family, "mean", "Normalize")).spec.head == "mean"


def test_vectors_are_of_unit_length_where_the_folder_forgot_it(save: Save) -> None:
    assert_same(save("qwen3_vl", "lasttoken"))


def test_the_cut_of_the_folder_is_kept(save: Save) -> None:
    embedder = assert_same(save("qwen3_vl", "mean", "Normalize", truncate_dim=20))
    assert embedder.dimension == embedder.spec.dimension == 20


def test_batches_of_any_length_do_not_change_a_mean(save: Save) -> None:
    folder = str(save("qwen3_vl", "mean", "Normalize"))
    ours, _ = comparable()["composed"]
    together = Embedder.load(folder).encode_query(ours)
    for side in ("left", "right"):
        options = LoadOptions(padding_side=side, batch_tokens=1)
        alone = Embedder.load(folder, options=options).encode_query(ours)
        assert least_cosine(together, alone) >= SAME


def test_a_default_prompt_stands_for_those_that_the_folder_does_not_name(save: Save) -> None:
    folder = save("qwen3_vl", "lasttoken", "Normalize", processing=ASSISTANT)
    path = folder / "config_sentence_transformers.json"
    values = json.loads(path.read_bytes())
    values |= {"prompts": {"any": DOCUMENT}, "default_prompt_name": "any"}
    path.write_text(json.dumps(values))
    model, embedder = load_sentence_transformer(folder), Embedder.load(str(folder))
    vectors = [embedder.encode_query(list(TEXTS)), embedder.encode_document(list(TEXTS))]
    for own_ND in vectors:
        assert least_cosine(own_ND, model.encode(list(TEXTS))) >= SAME


def test_options_of_the_folder_reach_the_processor(save: Save) -> None:
    size = {"shortest_edge": 64 * 64, "longest_edge": 96 * 96}
    options = {**ASSISTANT, "image": {"size": size}, "video": {"size": size, **CHOSEN["video"]}}
    folder = save("qwen2_vl", "lasttoken", "Normalize", processing=options)
    embedder, model = Embedder.load(str(folder)), load_sentence_transformer(folder)
    image = moving_frames(1, 320, 384, 1)
    own_ND = embedder.encode_document([{"image": image}])
    assert least_cosine(own_ND, model.encode_document([image.rgb_FHWC[0]])) >= SAME
    (folder / "sentence_bert_config.json").write_text(
        json.dumps({"modality_config": {"message": {}}, "processing_kwargs": ASSISTANT})
    )
    other_ND = Embedder.load(str(folder)).encode_document([{"image": image}])
    assert least_cosine(own_ND, other_ND) < SAME


def test_prompts_that_a_caller_names_stand_in_spite_of_the_folders(save: Save) -> None:
    folder = str(save("qwen3_vl", "lasttoken", "Normalize", processing=ASSISTANT, **PROMPTS))
    named = Embedder.load(folder, options=LoadOptions(template="one word"))
    assert named.backbone.checkpoint.template.name == "one word"
    assert (
        least_cosine(named.encode_query(["a dog"]), Embedder.load(folder).encode_query(["a dog"]))
        < SAME
    )


def test_a_family_without_a_way_for_videos_is_refused(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tiny("paligemma", tmp_path)
    write(folder)
    with pytest.raises(UsageError, match="reads no video as sentence-transformers"):
        Embedder.load(str(folder))


def module(kind: str, path: str = "") -> dict[str, str]:
    return {"path": path, "type": f"sentence_transformers.base.modules.{kind.lower()}.{kind}"}


def write(folder: Path, **changes: Any) -> None:
    """The files of sentence-transformers that say how, not its weights."""
    modules = changes.get("modules", [module("Transformer"), module("Pooling", "1_Pooling")])
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    pooling = changes.get("pooling", {"pooling_mode": "lasttoken"})
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    reads = {"message": {"method": "forward", "method_output_name": "last_hidden_state"}}
    values = {"modality_config": changes.get("reads", reads), **changes.get("bert", {})}
    (folder / "sentence_bert_config.json").write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {
                "modules": [
                    module("Transformer"),
                    module("Pooling", "1_Pooling"),
                    module("Dense", "2"),
                ]
            },
            "has the modules Transformer, Pooling, Dense",
        ),
        ({"modules": [module("Transformer")]}, "has the modules Transformer: supported are"),
        (
            {
                "modules": [
                    {"path": "", "type": "custom_st.Transformer"},
                    module("Pooling", "1_Pooling"),
                ]
            },
            r"runs code of its own \(custom_st.Transformer\)",
        ),
        (
            {"modules": [module("Transformer", "0_Transformer"), module("Pooling", "1_Pooling")]},
            "keeps its checkpoint in 0_Transformer",
        ),
        ({"modules": {"0": "Transformer"}}, "lists no modules"),
        ({"modules": [{"type": 3}]}, "lists no modules"),
        ({"pooling": {}}, "lacks the settings of its Pooling"),
        ({"pooling": {"pooling_mode": "cls"}}, "pools by cls: supported are lasttoken and mean"),
        ({"pooling": {"pooling_mode": ["cls", "mean"]}}, "pools by cls and mean"),
        ({"pooling": {"pooling_mode_max_tokens": True}}, "pools by max:"),
        (
            {"pooling": {"pooling_mode_mean_tokens": True, "pooling_mode_lasttoken": True}},
            "pools by mean and lasttoken",
        ),
        ({"reads": {"text": {}}}, "reads text without a chat template"),
        ({"reads": {"message": {"method": "get_text_features"}}}, "has another method than"),
        ({"reads": {"message": {"format": "flat"}}}, "has another format than"),
        ({"bert": {"transformer_task": "any-to-any"}}, "has another transformer_task than"),
        ({"bert": {"query_expansion": {"length": 32}}}, "has another query_expansion than"),
    ],
)
def test_what_cannot_be_had_here_is_named_in_one_sentence(
    changes: dict[str, Any], words: str, tmp_path: Path
) -> None:
    write(tmp_path, **changes)
    with pytest.raises(UsageError, match=words) as caught:
        sentence_folder(tmp_path, keep_template=False)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ("pooling_mode_lasttoken", "pooling_mode_mean_tokens"))
def test_old_names_of_poolings_are_understood(name: str, save: Save) -> None:
    folder = save("qwen3_vl", "max", "Normalize")
    old = {"word_embedding_dimension": 64, "pooling_mode_cls_token": False, name: True}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(old))
    assert_same(folder)


def test_broken_files_are_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "modules.json").write_text("[")
    with pytest.raises(UsageError, match=r"modules.json cannot be read as JSON"):
        sentence_folder(tmp_path, keep_template=False)


def test_a_folder_of_transformers_stays_as_it_is(tmp_path: Path) -> None:
    checkpoint: Any = object()
    assert sentence_folder(tmp_path, keep_template=False)(checkpoint) is checkpoint
