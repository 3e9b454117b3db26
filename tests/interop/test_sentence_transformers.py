"""An export gives plain sentence-transformers the vectors of the embedder it was made from."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinoscope import Embedder
from kinoscope.backbones.mllm import MLLM
from kinoscope.backbones.options import LoadOptions
from kinoscope.backbones.qwen_vl import Qwen3VL
from kinoscope.backbones.tarsier import Tarsier2
from kinoscope.errors import UsageError
from kinoscope.interop.same_inputs import chat_template, prompt_of
from kinoscope.interop.sentence_transformers import export, video_input
from kinoscope.prompts import TEMPLATES
from kinoscope.sampling import SamplingConfig
from kinoscope.types import Content, Features, Kind, Role
from tests.index.pixels import Pixels
from tests.interop.parity import (
    TEXTS,
    clips,
    greatest_cosine,
    inputs,
    least_cosine,
    least_cosines,
    load_sentence_transformer,
    parity,
)
from tests.tiny import moving_frames, tiny

SAME = 0.9999
FAMILIES = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl", "smolvlm", "llava_onevision", "internvl")
Folder = Callable[[str], Path]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    made: dict[str, Path] = {}

    def folder(family: str) -> Path:
        if family not in made:
            made[family] = tiny(family, tmp_path_factory.mktemp(family))
        return made[family]

    return folder


@pytest.fixture(scope="module")
def qwen3(checkpoint: Folder) -> Embedder:
    return Embedder.load(str(checkpoint("qwen3_vl")))


@pytest.fixture(scope="module")
def exported(qwen3: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports") / "qwen3"
    export(qwen3, folder)
    return folder


def with_settings(folder: Path, copy: Path, **settings: str) -> Path:
    """A copy of a checkpoint with a `kinoscope.json`."""
    copy.mkdir()
    for path in folder.iterdir():
        (copy / path.name).symlink_to(path)
    (copy / "kinoscope.json").write_text(json.dumps(settings))
    return copy


def test_inputs_of_the_comparison_differ_by_far(qwen3: Embedder) -> None:
    for ours, _ in inputs().values():
        assert greatest_cosine(qwen3.encode_document(ours)) < 0.99


@pytest.mark.parametrize("family", FAMILIES)
def test_an_export_gives_the_same_vectors_in_every_modality(
    family: str, checkpoint: Folder
) -> None:
    found = parity(checkpoint(family))
    assert set(found) == {"text", "image", "video", "composed", "composed image"}
    assert min(found.values()) >= SAME, found


@pytest.mark.parametrize("family", ("qwen3_vl", "llava_onevision"))
def test_an_export_with_instructions_tells_queries_from_documents(
    family: str, checkpoint: Folder, tmp_path: Path
) -> None:
    options = LoadOptions(template="instruction")
    embedder = Embedder.load(str(checkpoint(family)), options=options)
    export(embedder, tmp_path / "out")
    model = load_sentence_transformer(tmp_path / "out")
    found = least_cosines(embedder, model)
    assert min(found.values()) >= SAME, found
    roles = [model.encode_query(TEXTS[0]), model.encode_document(TEXTS[0]), model.encode(TEXTS[0])]
    assert roles[0] @ roles[1] < 0.99
    assert roles[2] @ roles[1] >= SAME


def test_a_batch_of_all_modalities_gives_the_same_vectors(qwen3: Embedder, exported: Path) -> None:
    ours, theirs = (list(chain(*lists)) for lists in zip(*inputs().values(), strict=True))
    vectors = load_sentence_transformer(exported).encode_document(theirs, batch_size=7)
    assert least_cosine(qwen3.encode_document(ours), vectors) >= SAME


def test_smolvlm_samples_no_frames_of_its_own(checkpoint: Folder, tmp_path: Path) -> None:
    folder = with_settings(checkpoint("smolvlm"), tmp_path / "copy")
    config = folder / "processor_config.json"
    values = json.loads(config.read_bytes())
    values["video_processor"] |= {"fps": 1, "num_frames": 3, "do_sample_frames": True}
    config.unlink()
    config.write_text(json.dumps(values))
    assert min(parity(folder).values()) >= SAME


@pytest.mark.parametrize("family", ("qwen2_vl", "qwen3_vl"))
@pytest.mark.parametrize(
    ("sampling", "count"),
    [
        ("exact 2fps min8 65536px/frame 8frames ", 8),
        ("exact 2fps min8 65536px/frame 8frames ", 4),  # a shorter clip than the rule
        ("exact 2fps min8 65536px/frame 5frames ", 5),  # an odd number of frames
        ("exact 2fps min8 50000px/frame 6frames ", 6),  # no whole number of tokens
    ],
)
def test_frames_over_the_bound_of_pixels_are_scaled_alike(
    family: str, sampling: str, count: int, checkpoint: Folder, tmp_path: Path
) -> None:
    folder = with_settings(checkpoint(family), tmp_path / "copy", sampling=sampling)
    embedder = Embedder.load(str(folder))
    export(embedder, tmp_path / "out")
    frames = moving_frames(count, 320, 416, 3)
    theirs = load_sentence_transformer(tmp_path / "out").encode_document([video_input(frames)])
    ours = embedder.encode_document([{"video": frames}])
    assert least_cosine(ours, theirs) >= SAME
    loose = Embedder(embedder.backbone, sampling=embedder.sampling)
    loose.backbone.checkpoint.family.max_pixels = 10**7
    assert least_cosine(ours, loose.encode_document([{"video": frames}])) < SAME


def test_a_text_that_is_too_long_ends_at_the_same_place(checkpoint: Folder, tmp_path: Path) -> None:
    folder = with_settings(checkpoint("qwen3_vl"), tmp_path / "copy")
    values = json.loads((folder / "config.json").read_bytes())
    values["text_config"]["max_position_embeddings"] = 150
    (folder / "config.json").unlink()
    (folder / "config.json").write_text(json.dumps(values))
    embedder = Embedder.load(str(folder))
    export(embedder, tmp_path / "out")
    text = "a dog runs on the beach and " * 40
    with pytest.warns(UserWarning, match="is cut to its first"):
        own_ND = embedder.encode_query([text])
    model = load_sentence_transformer(tmp_path / "out")
    assert least_cosine(own_ND, model.encode_query([text])) >= SAME


def test_a_cut_embedder_is_cut_after_export_and_after_loading_too(
    checkpoint: Folder, tmp_path: Path
) -> None:
    embedder = Embedder.load(str(checkpoint("qwen3_vl")), truncate_dim=24)
    export(embedder, tmp_path / "out")
    model = load_sentence_transformer(tmp_path / "out")
    assert model.encode_query("a dog").shape == (24,)
    found = least_cosines(embedder, model)
    assert min(found.values()) >= SAME, found
    again = Embedder.load(str(tmp_path / "out"))
    assert again.dimension == 24
    assert least_cosine(again.encode_query(["a dog"]), embedder.encode_query(["a dog"])) >= SAME


def test_an_export_is_loaded_here_as_what_it_was(qwen3: Embedder, exported: Path) -> None:
    again = Embedder.load(str(exported))
    spec, own = again.spec, qwen3.spec
    assert replace(spec, weights=own.weights) == own
    for ours, _ in inputs().values():
        assert least_cosine(again.encode_query(ours), qwen3.encode_query(ours)) >= SAME
    asked = [Content(text="what is this?")]
    assert again.backbone.generate(asked) == qwen3.backbone.generate(asked)


def test_an_export_without_our_own_file_is_read_like_any_other(
    qwen3: Embedder, exported: Path, tmp_path: Path
) -> None:
    for path in exported.iterdir():
        if path.name != "kinoscope.json":
            (tmp_path / path.name).symlink_to(path)
    again = Embedder.load(str(tmp_path))
    for ours, _ in inputs().values():
        assert least_cosine(again.encode_query(ours), qwen3.encode_query(ours)) >= SAME
    with pytest.raises(UsageError, match="already: copy it"):
        export(again, tmp_path / "out")


def test_an_export_holds_no_code_and_no_pickles(exported: Path) -> None:
    kinds = {path.suffix for path in exported.rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors", ".jinja", ".md"}
    types = [module["type"] for module in json.loads((exported / "modules.json").read_bytes())]
    assert all(kind.startswith("sentence_transformers.") for kind in types)


WORDS = st.one_of(
    st.text(min_size=1),
    st.sampled_from(
        [
            "{{ 7 * 7 }}",
            "{% endif %}",
            "{# #}",
            "\\n'\"",
            "\r\n",
            "<|im_end|>",
            "<image>",
            "<video>",
        ]
    ),
)
CONTENTS: tuple[tuple[Kind, str], ...] = (
    ("text", "video"),
    ("image", "image"),
    ("video", "video"),
    ("composed", "image"),
    ("composed", "video"),
)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=lambda template: template.name)
def test_the_chat_template_renders_what_the_adapter_renders(
    family: str, template: Any, checkpoint: Folder
) -> None:
    adapter = Embedder.load(str(checkpoint(family))).backbone.checkpoint.family
    written = chat_template(adapter, template)
    frames = clips()[0]

    def harmless(text: str) -> str:
        for word in adapter.control_words:
            text = text.replace(word, f"{word[0]} {word[1:]}")
        return text

    @given(st.lists(WORDS, min_size=1).map("".join), st.sampled_from(["query", "document"]))
    def renders_alike(text: str, role: Role) -> None:
        for kind, medium in CONTENTS:
            still, shown = medium == "image", kind != "text"
            rows = frames.take([0]) if still else frames
            clip = Features(rows.rgb_FHWC, rows.times_F) if shown else None
            said = text if kind in ("text", "composed") else None
            content = Content(
                text=said and harmless(said), clip=clip, still=still and shown, role=role
            )
            parts = [{"type": medium, medium: rows.rgb_FHWC}] if shown else []
            if said:
                parts.insert(0, {"type": "text", "text": said})  # as a user may order them
            system = template.query if role == "query" else template.document
            prompts = [{"role": "system", "content": [{"type": "text", "text": system}]}]
            conversation = [*(prompts if system else []), {"role": "user", "content": parts}]
            theirs = adapter.processor.apply_chat_template(
                conversation, tokenize=False, **{"chat_template": written.text} | written.arguments
            )
            assert theirs == adapter.render(prompt_of(content, template))

    renders_alike()


def test_concepts_and_their_like_cannot_be_exported(tmp_path: Path) -> None:
    embedder = Embedder(Pixels(), sampling=SamplingConfig(side_px=32))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="pixels model cannot be exported"):
        export(embedder, tmp_path / "out")


def test_an_earlier_layer_cannot_be_exported(checkpoint: Folder, tmp_path: Path) -> None:
    embedder = Embedder.load(str(checkpoint("qwen3_vl")), options=LoadOptions(layer=2))
    with pytest.raises(UsageError, match="'last of layer 2' cannot be exported"):
        export(embedder, tmp_path / "out")


def test_a_family_without_a_way_for_videos_cannot_be_exported(
    checkpoint: Folder, tmp_path: Path
) -> None:
    embedder = Embedder.load(str(checkpoint("paligemma")))
    with pytest.raises(UsageError, match="no way to give a PaliGemma a video"):
        export(embedder, tmp_path / "out")


def test_a_family_that_shows_each_frame_twice_cannot_be_exported(
    checkpoint: Folder, tmp_path: Path
) -> None:
    embedder = Embedder.load(str(checkpoint("qwen2_vl")))
    own = embedder.backbone.checkpoint
    twice = replace(own, family=Tarsier2(own.family.processor, own.family.max_pixels))
    embedder = Embedder(MLLM(twice, LoadOptions()), sampling=embedder.sampling)
    with pytest.raises(UsageError, match="no way to give a Tarsier2 a video"):
        export(embedder, tmp_path / "out")


def test_quantised_weights_cannot_be_exported(checkpoint: Folder, tmp_path: Path) -> None:
    embedder = Embedder.load(str(checkpoint("qwen3_vl")))
    embedder.backbone.checkpoint.model.is_quantized = True
    with pytest.raises(UsageError, match="is quantised"):
        export(embedder, tmp_path / "out")


def test_an_unknowable_bound_of_pixels_cannot_be_exported(
    checkpoint: Folder, tmp_path: Path
) -> None:
    sampling = "exact 2fps min8 50000px/frame "
    folder = with_settings(checkpoint("qwen3_vl"), tmp_path / "copy", sampling=sampling)
    with pytest.raises(UsageError, match="max_pixels 50000 without clip_frames"):
        export(Embedder.load(str(folder)), tmp_path / "out")


def test_a_folder_with_something_in_it_is_left_as_it_is(qwen3: Embedder, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        export(qwen3, tmp_path)
    with pytest.raises(UsageError, match="is there already"):
        export(qwen3, tmp_path / "notes.txt")
    with pytest.raises(UsageError, match="cannot write"):
        export(qwen3, tmp_path / "notes.txt" / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_an_empty_folder_is_filled(qwen3: Embedder, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(qwen3, tmp_path / "out")
    assert (tmp_path / "out" / "modules.json").is_file()


def test_other_inputs_than_ours_are_noticed_and_nothing_is_left(
    qwen3: Embedder, tmp_path: Path
) -> None:
    class Louder(Qwen3VL):
        """Says one word more."""

        def render(self, prompt: Any) -> str:
            return super().render(prompt) + "!"

    own = qwen3.backbone.checkpoint
    louder = replace(own, family=Louder(own.family.processor, own.family.max_pixels))
    embedder = Embedder(MLLM(louder, LoadOptions()), sampling=qwen3.sampling)
    with pytest.raises(UsageError, match="content of kind text in another way"):
        export(embedder, tmp_path / "out")
    assert not list(tmp_path.iterdir())
