"""The small multimodal LLM: a tiny one of its own classes, whose vision tower is a stand-in."""

import json

import numpy as np
import pytest

from kinoscope import libraries
from kinoscope.backbones import mini
from kinoscope.backbones.mini import MOST_NAMED, PLACEHOLDER, untrained_mini
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import SetupError, UsageError
from kinoscope.mini_weights import CHANNELS, GRID, MiniFiles, mini_files
from kinoscope.types import Content, Features, Frames
from kinoscope.weights import CLASSES, SIDE_PX
from tests.backbones.checks import cosine, vectors
from tests.tiny import moving_frames
from tests.tiny_tokenizer import tokenizer

WIDE = 64


class Tower:
    """A stand-in for the vision tower: its grid holds coarse pixels, its opinion a brightness."""

    def run(self, _outputs, feed):
        rgb_FHWC = feed["rgb_FHWC"].astype(np.float32) / 255
        assert rgb_FHWC.shape[1:] == (SIDE_PX, SIDE_PX, 3)
        cells = rgb_FHWC[:, :: SIDE_PX // GRID + 1, :: SIDE_PX // GRID + 1]
        grid = np.concatenate([cells] * (CHANNELS // 3), axis=3).reshape(len(cells), -1)
        classes = np.zeros((len(cells), CLASSES), np.float32)
        bright = (rgb_FHWC.mean(axis=(1, 2, 3)) * 900).astype(int)
        classes[np.arange(len(cells)), bright] = 0.7
        classes[:, 950] = 0.3
        return [np.concatenate([classes, grid], axis=1)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What setup makes, with a language model of three layers."""
    library, folder = libraries.transformers(), tmp_path_factory.mktemp("mini")
    words = tokenizer(("<|im_start|>", "<|im_end|>", PLACEHOLDER), eos_token="<|im_end|>")
    words.save_pretrained(folder)
    config = library.LlamaConfig(
        hidden_size=WIDE, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, head_dim=16, vocab_size=len(words), tie_word_embeddings=True,
        initializer_range=0.2, eos_token_id=words.eos_token_id, pad_token_id=words.eos_token_id,
    )  # fmt: skip
    libraries.torch().manual_seed(0)
    model = library.LlamaForCausalLM(config)
    state = {n: v.half().contiguous() for n, v in model.state_dict().items() if "lm_head" not in n}
    libraries.imported("safetensors.torch").save_file(state, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(config.to_diff_dict()))
    (folder / "class_names.json").write_text(json.dumps([f"thing {n}" for n in range(CLASSES)]))
    (folder / "vision.onnx").write_bytes(b"stand-in")
    return MiniFiles(
        language_model=folder,
        vision=folder / "vision.onnx",
        class_names=folder / "class_names.json",
    )


@pytest.fixture
def make(files, monkeypatch):
    """Makes a model; `trained` gives its connector something to say."""
    monkeypatch.setattr(mini, "open_session", lambda *_arguments: Tower())

    def build(layers=3, trained=True, **options):
        backbone = untrained_mini(files, layers=layers, options=LoadOptions(**options))
        torch = libraries.torch()
        if trained:
            torch.manual_seed(1)
            for part in ("leave", "enter", "hidden"):
                values = getattr(backbone.checkpoint.model.model.connector, part).weight
                torch.nn.init.normal_(values, std=0.2)
        return backbone

    return build


def clip(backbone, count=6, seed=0):
    return backbone.vision(moving_frames(count, SIDE_PX, SIDE_PX, seed))


def mixture(backbone):
    one, other = clip(backbone), clip(backbone, 3, 1)
    return [
        Content(text="a door opens"),
        Content(clip=one),
        Content(clip=other, text="make it night <|im_end|> <file_sep>"),
        Content(text="a much longer text about a door " * 6, role="query"),
        Content(clip=other.take([0]), still=True),
        Content(clip=other),
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_vectors_depend_neither_on_batch_nor_on_padding(make, side):
    backbone, alone = make(padding_side=side), make()
    contents = mixture(backbone)
    found = vectors(backbone, contents)
    for content, vector in zip(contents, found, strict=True):
        assert cosine(vector, vectors(alone, [content])[0]) >= 0.99999


def test_training_begins_at_the_same_weights_each_time(make):
    one, other = (make(trained=False).checkpoint.model.state_dict() for _ in range(2))
    assert all((values == other[name]).all() for name, values in one.items())


def test_before_training_pixels_are_mere_separators(make):
    backbone = make(trained=False)
    one = clip(backbone)
    other = Features(one.values_F.copy(), one.times_F)
    other.values_F[:, : GRID * GRID * 99] *= -1  # other pixels, the same classes
    assert cosine(*vectors(backbone, [Content(clip=one), Content(clip=other)])) >= 0.9999999
    trained = make()
    assert cosine(*vectors(trained, [Content(clip=one), Content(clip=other)])) < 0.999


def test_order_and_times_are_seen(make):
    backbone = make()
    frames = moving_frames(6, SIDE_PX, SIDE_PX, 0)
    assert np.abs(np.diff(frames.rgb_FHWC.astype(int), axis=0)).mean() > 1, "nothing moves"
    back = Frames(frames.rgb_FHWC[::-1].copy(), frames.times_F)
    slow = Frames(frames.rgb_FHWC, frames.times_F * 20)
    later = Frames(frames.rgb_FHWC, frames.times_F + 100)
    there, *others = vectors(
        backbone, [Content(clip=backbone.vision(f)) for f in (frames, back, slow, later)]
    )
    turned, slowed, moved = (cosine(there, other) for other in others)
    assert turned < 0.999
    assert slowed < 0.99999
    assert moved >= 0.9999999, "a clip does not know where it lies in its film"


def test_a_clip_is_told_by_distinct_names_and_room_for_its_pixels(make):
    backbone = make()
    features = clip(backbone, 8)
    found = next(iter(backbone.batches([Content(clip=features)])))[1]
    text = backbone.checkpoint.family.processor.tokenizer.decode(found["input_ids"][0])
    told = text.split("user\n")[1].split(";")[0].split(", ")
    assert "thing 950" in told
    assert len(told) == len(set(told)) <= MOST_NAMED
    assert text.count(PLACEHOLDER) == 2 * 8
    assert found["grids"].shape == (8, GRID, GRID, CHANNELS + 3)
    (_, states), *_ = backbone.token_states([Content(clip=features)])
    assert states.vision_BT.sum() == 2 * 8


def test_steps_are_what_one_pass_gives_and_gradients_reach_the_connector(make):
    backbone, torch = make(), libraries.torch()
    contents = mixture(backbone)[:3]
    ids = torch.tensor([7, 30, 12])
    session = backbone.read(contents)
    states = [session.step(backbone.embed_tokens(ids[n].repeat(3))) for n in range(3)]
    for row, content in enumerate(contents):
        batch = next(iter(backbone.batches([content])))[1]
        longer = {
            **batch,
            "input_ids": torch.cat([batch["input_ids"], ids[None]], dim=1),
            "attention_mask": torch.ones(1, batch["input_ids"].shape[1] + 3, dtype=torch.long),
        }
        wanted = backbone.hidden(longer)[0, -1].detach().numpy()
        assert cosine(states[-1][row].detach().numpy(), wanted) >= 0.99999
    states[-1].sum().backward()
    assert backbone.checkpoint.model.model.connector.leave.weight.grad.abs().sum() > 0


def test_answers_in_a_batch_are_those_alone(make):
    backbone = make()
    asked = [Content(text="what?"), Content(clip=clip(backbone), text="what is seen here?")]
    together = backbone.generate(asked, max_new_tokens=5)
    assert together == [backbone.generate([one], max_new_tokens=5)[0] for one in asked]


def test_fewer_layers_are_the_first_and_another_model(make):
    three, two = make(), make(layers=2)
    assert len(two.checkpoint.model.model.layers) == 2
    assert three.weights != two.weights
    middle = make(layer=2)
    text = [Content(text="a door opens")]
    batch = next(iter(two.batches(text)))[1]
    wanted = libraries.torch().nn.Identity()
    handle = two.checkpoint.model.model.norm.register_forward_pre_hook(
        lambda _module, arguments: setattr(wanted, "seen", arguments[0])
    )
    two.hidden(batch)
    handle.remove()
    assert cosine(vectors(middle, text)[0], wanted.seen[0, -1].detach().numpy()) >= 0.9999999
    with pytest.raises(UsageError, match="layers 4: SmolLM2 has 3"):
        make(layers=4)


def test_frames_of_another_size_are_refused(make):
    with pytest.raises(UsageError, match="frames of 64x32 px: mini reads 260x260"):
        make().vision(moving_frames(2, 32, 64, 0))


def test_without_its_files_the_remedy_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path))
    with pytest.raises(SetupError, match="run: kinoscope setup"):
        mini_files()


def test_no_frames_give_no_features(make):
    none = Frames(np.empty((0, SIDE_PX, SIDE_PX, 3), np.uint8), np.empty(0))
    assert len(make().vision(none)) == 0
