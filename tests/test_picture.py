"""Pictures: upright, scaled as frames are, and one sentence for what is none."""

import numpy as np
import pytest
from PIL import Image

from kinoscope import Embedder
from kinoscope.errors import MediaError
from kinoscope.video import DecodeLimits, is_picture_name, read_picture


def halves(width=60, height=40):
    """Left half red, right half blue, as an image."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[:, : width // 2, 0] = rgb[:, width // 2 :, 2] = 255
    return Image.fromarray(rgb)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tiff", "webp", "gif", "JPG"])
def test_every_usual_format_is_read_as_one_frame(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    halves().save(path, format="JPEG" if suffix == "JPG" else None)
    frames = read_picture(path, side_px=None)
    assert frames.rgb_FHWC.shape == (1, 40, 60, 3)
    assert frames.rgb_FHWC[0, 20, 10, 0] > 200 > 60 > frames.rgb_FHWC[0, 20, 50, 0]


def test_sizes_are_those_of_video_frames(tmp_path):
    halves(600, 200).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").rgb_FHWC.shape == (1, 260, 260, 3)
    shape = read_picture(tmp_path / "a.png", side_px=None, max_pixels=30_000).rgb_FHWC.shape
    assert shape == (1, 100, 300, 3)


def test_a_picture_taken_sideways_is_turned_upright(tmp_path):
    image = halves()
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned clockwise by a quarter
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    rgb = read_picture(tmp_path / "a.jpg", side_px=None).rgb_FHWC[0]
    assert rgb.shape == (60, 40, 3)
    assert rgb[10, 20, 0] > 200 > 60 > rgb[50, 20, 0], "the left half is now on top"


def test_transparency_palettes_and_16_bit_become_rgb(tmp_path):
    halves().convert("RGBA").save(tmp_path / "a.png")
    halves().convert("P").save(tmp_path / "p.png")
    Image.fromarray(np.full((9, 9), 40_000, np.uint16)).save(tmp_path / "deep.png")
    for name in ("a.png", "p.png", "deep.png"):
        assert read_picture(tmp_path / name).rgb_FHWC.dtype == np.uint8


def test_of_an_animation_the_first_frame_is_read(tmp_path):
    frames = [halves(), halves().transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert read_picture(tmp_path / "a.gif", side_px=None).rgb_FHWC[0, 20, 10, 0] > 200


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "empty"), (b"plain text", "not_media"), (None, "missing"), ("cut", "no_frames")],
)
def test_what_is_no_picture_is_a_named_fault(tmp_path, content, fault):
    path = tmp_path / "a.png"
    if content == "cut":
        halves(300, 200).save(path)
        path.write_bytes(path.read_bytes()[:200])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(MediaError, match=r"a\.png") as caught:
        read_picture(path)
    assert caught.value.fault == fault


def test_a_picture_over_the_limit_is_refused_before_it_is_decoded(tmp_path):
    halves(300, 200).save(tmp_path / "a.png")
    with pytest.raises(MediaError, match="300x200 pixels, over the limit"):
        read_picture(tmp_path / "a.png", limits=DecodeLimits(max_side_px=250))
    Image.new("1", (20_000, 20_000)).save(tmp_path / "bomb.png")
    with pytest.raises(MediaError) as caught:
        read_picture(tmp_path / "bomb.png")
    assert caught.value.fault in ("too_large", "not_media")


@pytest.mark.parametrize(
    ("name", "is_one"), [("a.JPG", True), ("a.webp", True), ("a.mp4", False), ("jpg", False)]
)
def test_picture_names_go_by_suffix(name, is_one):
    assert is_picture_name(name) == is_one


def test_every_way_to_name_a_picture_gives_its_vector(tmp_path):
    path = tmp_path / "a.png"
    halves().save(path)
    embedder = Embedder.load()
    ways = [path, str(path), {"image": path}, {"image": str(path)}, {"image": read_picture(path)}]
    vectors = embedder.encode_document(ways)
    assert (vectors @ vectors[0]).min() > 0.9999
    assert (embedder.encode_query([path])[0] @ vectors[0]) > 0.9999
