"""The tiny checkpoints load as published ones do, see what they are given, and answer briefly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kinoscope import libraries
from kinoscope.types import Frames
from tests.tiny import FAMILIES, LAYERS, moving_frames, tiny, tiny_text_only

PROMPT = "Summarize the scene."
KINDS = ("text", "image", "video")


@dataclass(frozen=True)
class Loaded:
    """A checkpoint as an adapter would load it."""

    family: str
    folder: Path
    config: Any
    processor: Any
    model: Any

    def inputs(self, text: str = PROMPT, frames: Frames | None = None) -> dict[str, Any]:
        """Inputs of one item: text alone, with a picture (one frame) or with a video."""
        kind = "text" if frames is None else "image" if len(frames) == 1 else "video"
        if self.family.startswith("paligemma"):
            return self._paligemma_inputs(text, frames)
        seen = [] if kind == "text" else [{"type": kind}]
        message = {"role": "user", "content": [*seen, {"type": "text", "text": text}]}
        prompt = self.processor.apply_chat_template(
            [message], tokenize=False, add_generation_prompt=True
        )
        more: dict[str, Any] = {}
        if kind == "image":
            more["images"] = [frames.rgb_FHWC[0]]
        if kind == "video":
            more = self._video_arguments(frames)
        return dict(self.processor(text=[prompt], return_tensors="pt", **more))

    def _video_arguments(self, frames: Frames) -> dict[str, Any]:
        from transformers.video_utils import VideoMetadata

        count = len(frames)
        times = VideoMetadata(
            total_num_frames=count, fps=2.0, frames_indices=list(range(count)), duration=count / 2
        )
        arguments = {
            "videos": [frames.rgb_FHWC],
            "video_metadata": [times],
            "do_sample_frames": False,
        }
        if self.family.startswith("qwen"):
            arguments["cap_pixels_per_frame"] = False
        return arguments

    def _paligemma_inputs(self, text: str, frames: Frames | None) -> dict[str, Any]:
        if frames is None:
            prompt = f"{self.processor.tokenizer.bos_token}{text}\n"
            made = dict(self.processor.tokenizer([prompt], return_tensors="pt"))
            made["token_type_ids"] = libraries.torch().zeros_like(made["input_ids"])
            return made
        prompt = "<image>" * len(frames) + text
        made = self.processor(text=[prompt], images=[list(frames.rgb_FHWC)], return_tensors="pt")
        return {key: value for key, value in made.items() if key != "labels"}

    def states_TD(self, text: str = PROMPT, frames: Frames | None = None) -> np.ndarray:
        """States after the final norm."""
        with libraries.torch().inference_mode():
            return self.model.model(**self.inputs(text, frames)).last_hidden_state[0].numpy()


def load(folder: Path) -> Any:
    transformers = libraries.transformers()
    name = transformers.AutoConfig.from_pretrained(folder).architectures[0]
    return getattr(transformers, name).from_pretrained(folder).eval()


def media(kind: str, seed: int = 0) -> Frames | None:
    counts = {"image": 1, "video": 4}
    return moving_frames(counts[kind], 56, 84, seed) if kind in counts else None


def cosine(one_D: np.ndarray, other_D: np.ndarray) -> float:
    return float(one_D @ other_D / np.linalg.norm(one_D) / np.linalg.norm(other_D))


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request, tmp_path_factory) -> Loaded:
    transformers = libraries.transformers()
    folder = tiny(request.param, tmp_path_factory.mktemp("tiny") / request.param)
    return Loaded(
        family=request.param,
        folder=folder,
        config=transformers.AutoConfig.from_pretrained(folder),
        processor=transformers.AutoProcessor.from_pretrained(folder),
        model=load(folder),
    )


def test_a_checkpoint_is_small_and_complete(loaded):
    sizes = {path.name: path.stat().st_size for path in loaded.folder.iterdir()}
    assert sum(sizes.values()) < 3e6
    needed = {"config.json", "model.safetensors", "generation_config.json", "tokenizer.json"}
    assert needed | {"tokenizer_config.json", "processor_config.json"} <= sizes.keys()
    assert ("chat_template.jinja" in sizes) != loaded.family.startswith("paligemma")


def test_the_family_is_the_model_type_of_the_configuration(loaded):
    assert loaded.config.model_type == loaded.family.removesuffix("2")  # both PaliGemmas are one
    assert type(loaded.model).__name__ == loaded.config.architectures[0]
    assert type(loaded.model.config) is type(loaded.config)


def test_the_text_decoder_has_layers_to_choose_from_and_shared_key_heads(loaded):
    text = loaded.config.get_text_config()
    assert len(loaded.model.get_decoder().layers) == text.num_hidden_layers == LAYERS
    assert text.num_key_value_heads < text.num_attention_heads
    assert text.vocab_size >= len(loaded.processor.tokenizer)


@pytest.mark.parametrize("kind", KINDS)
def test_states_are_finite_one_a_token_and_of_unit_scale(loaded, kind):
    frames = media(kind)
    states_TD = loaded.states_TD(frames=frames)
    assert np.isfinite(states_TD).all()
    assert len(states_TD) == loaded.inputs(frames=frames)["input_ids"].shape[1]
    assert 0.5 < states_TD.std() < 2


def test_last_states_of_two_texts_differ(loaded):
    one, other = (loaded.states_TD(text)[-1] for text in ("a fox in the snow", "a door opens"))
    assert cosine(one, other) < 0.95


@pytest.mark.parametrize("kind", ["image", "video"])
def test_last_states_of_two_pictures_and_of_two_videos_differ(loaded, kind):
    one, other = (loaded.states_TD(frames=media(kind, seed))[-1] for seed in (0, 1))
    assert cosine(one, other) < 0.95


def test_last_states_of_a_video_and_of_the_same_backwards_differ(loaded):
    video = media("video")
    backwards = Frames(video.rgb_FHWC[::-1].copy(), video.times_F)
    one, other = (loaded.states_TD(frames=frames)[-1] for frames in (video, backwards))
    assert cosine(one, other) < 0.98


@pytest.mark.parametrize("kind", KINDS)
def test_generation_adds_tokens_and_knows_where_to_stop(loaded, kind):
    inputs = loaded.inputs(frames=media(kind))
    with libraries.torch().inference_mode():
        answer = loaded.model.generate(**inputs, max_new_tokens=4, do_sample=False)
    length = inputs["input_ids"].shape[1]
    assert answer[0, :length].equal(inputs["input_ids"][0])
    assert 1 <= answer.shape[1] - length <= 4
    assert loaded.model.generation_config.eos_token_id == loaded.processor.tokenizer.eos_token_id


def test_saving_and_loading_keeps_states_bit_by_bit(loaded, tmp_path):
    loaded.model.save_pretrained(tmp_path)
    again = Loaded(loaded.family, tmp_path, loaded.config, loaded.processor, load(tmp_path))
    for kind in KINDS:
        frames = media(kind)
        assert np.array_equal(loaded.states_TD(frames=frames), again.states_TD(frames=frames))


def test_weights_depend_on_the_seed_and_on_nothing_else(loaded, tmp_path):
    same = tiny(loaded.family, tmp_path / "same") / "model.safetensors"
    other = tiny(loaded.family, tmp_path / "other", seed=1) / "model.safetensors"
    first = (loaded.folder / "model.safetensors").read_bytes()
    assert first == same.read_bytes()
    assert first != other.read_bytes()


def test_the_tokenizer_splits_words_knows_every_byte_and_keeps_special_tokens_whole(loaded):
    tokenizer = loaded.processor.tokenizer
    text = "retrieve an elephant, слон, 象 \x00\t"
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
    assert len(tokenizer("elephant", add_special_tokens=False)["input_ids"]) > 1
    for special in tokenizer.all_special_tokens:
        assert tokenizer(special, add_special_tokens=False)["input_ids"] == [
            tokenizer.convert_tokens_to_ids(special)
        ]


def test_a_text_only_checkpoint_is_a_language_model_without_a_processor(tmp_path):
    model = load(tiny_text_only(tmp_path))
    tokenizer = libraries.transformers().AutoTokenizer.from_pretrained(tmp_path)
    assert type(model).__name__ == "Qwen2ForCausalLM"
    assert not list(tmp_path.glob("*processor*"))
    inputs = tokenizer([PROMPT], return_tensors="pt")
    assert model.model(**inputs).last_hidden_state.isfinite().all()


@pytest.mark.parametrize("count", [1, 2, 5])
def test_something_moves_between_all_frames(count):
    frames = moving_frames(count, 40, 72, seed=3)
    assert frames.rgb_FHWC.shape == (count, 40, 72, 3)
    assert frames.times_F.tolist() == [0.5 * i for i in range(count)]
    changes = np.diff(frames.rgb_FHWC.astype(int), axis=0)
    assert all((np.abs(change) > 40).mean() > 0.01 for change in changes)
    assert np.array_equal(frames.rgb_FHWC, moving_frames(count, 40, 72, seed=3).rgb_FHWC)
