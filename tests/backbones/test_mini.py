"""The small multimodal LLM: a tiny one of its own classes, whose vision tower is a stand-in."""

import numpy as np
import pytest
import torch

from kinoscope import libraries
from kinoscope.backbones import mini
from kinoscope.backbones.mini import MOST_NAMED, NAMED, PLACEHOLDER, untrained_mini
from kinoscope.backbones.options import LoadOptions
from kinoscope.errors import SetupError, UsageError
from kinoscope.mini_weights import CHANNELS, GRID, mini_files
from kinoscope.types import Content, Features, Frames
from kinoscope.weights import SIDE_PX
from tests.backbones.checks import cosine, together, vectors
from tests.tiny import moving_frames
from tests.tiny_mini import Tower, as_if_trained, tiny_mini_files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tiny_mini_files(tmp_path_factory.mktemp("mini"))


@pytest.fixture
def make(files, monkeypatch):
    """Makes a model; `trained` gives its connector something to say."""
    monkeypatch.setattr(mini, "open_session", lambda *_arguments: Tower())

    def build(layers=3, trained=True, **options):
        backbone = untrained_mini(files, layers=layers, options=LoadOptions(**options))
        return as_if_trained(backbone) if trained else backbone

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


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_attention_that_is_asked_for_is_used_and_gives_the_same_vectors(make, attention):
    backbone, usual = make(attention=attention), make()
    assert backbone.checkpoint.model.config._attn_implementation == attention
    contents = mixture(backbone)
    for one, other in zip(vectors(backbone, contents), vectors(usual, contents), strict=True):
        assert cosine(one, other) >= 0.99999


@pytest.mark.parametrize("side", ["left", "right"])
def test_vectors_depend_neither_on_batch_nor_on_padding(make, side):
    backbone, alone = make(padding_side=side), make()
    contents = mixture(backbone)
    wanted = [vectors(alone, [content])[0] for content in contents]
    for found in (vectors(backbone, contents), together(backbone, contents)):
        assert min(map(cosine, found, wanted)) >= 0.99999


def test_windows_of_a_film_are_not_padded_to_its_length(make):
    backbone = make()
    film = clip(backbone, 32)
    windows = [film.take(range(first, first + 8)) for first in range(0, 25, 4)]
    batches = [batch for _, batch in backbone.batches([Content(clip=c) for c in (film, *windows)])]
    counts = [batch["grid_counts"] for batch in batches]
    real = 32 + 8 * len(windows)
    assert sum(int(each.sum()) for each in counts) == real
    assert sum(int(each.max()) * len(each) for each in counts) <= 1.3 * real


def test_training_begins_at_the_same_weights_each_time(make):
    one, other = (make(trained=False).checkpoint.model.state_dict() for _ in range(2))
    assert all((values == other[name]).all() for name, values in one.items())


def test_before_training_pixels_are_mere_separators(make):
    backbone = make(trained=False)
    one = clip(backbone)
    other = Features(one.values_F.copy(), one.times_F)
    other.values_F[:, :-NAMED] *= -1  # other pixels, the same classes
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
    assert found["grids"].shape == (8, GRID, GRID, CHANNELS + 3 * 4 * 4)
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


@pytest.mark.parametrize("counts", [[1], [2], [2, 1], [2, 2, 2, 2], [3, 2], [5]])
def test_gradients_of_short_clips_in_bfloat16_are_those_of_float32(counts):
    libraries.transformers()
    from kinoscope.backbones.mini_model import Connector, MiniConfig

    torch.manual_seed(0)
    connector = Connector(MiniConfig(hidden_size=32))
    connector.reset()
    torch.nn.init.normal_(connector.leave.weight, std=0.1)
    grids = torch.randn(sum(counts), 9, 9, 144)
    times = torch.cat([torch.arange(count) / 2 for count in counts])
    found = {}
    for half in (False, True):
        connector.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            tokens = connector(grids, times, torch.tensor(counts))
        (tokens.float() * torch.linspace(-1, 1, tokens.numel()).view_as(tokens)).sum().backward()
        found[half] = [part.weight.grad.flatten() for part in connector.convolutions]
    for exact, rounded in zip(found[False], found[True], strict=True):
        assert float(torch.nn.functional.cosine_similarity(exact, rounded, dim=0)) > 0.99
        assert float(rounded.norm() / exact.norm()) == pytest.approx(1, abs=0.05)


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
    with pytest.raises(SetupError, match="run: kinoscope setup mini"):
        mini_files()


def test_no_frames_give_no_features(make):
    none = Frames(np.empty((0, SIDE_PX, SIDE_PX, 3), np.uint8), np.empty(0))
    assert len(make().vision(none)) == 0
