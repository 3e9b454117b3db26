"""What a report shows: moments as strips of real frames, spaces that analyze saved."""

import base64
import io
import json
import re
from dataclasses import asdict

import numpy as np
import pytest
from PIL import Image

from kinoscope.evaluation.query_lists import lists_beside
from kinoscope.evaluation.report import write_report
from kinoscope.evaluation.report.strips import frames_of
from kinoscope.evaluation.results import Metric
from kinoscope.samples import write_video
from tests.evaluation.report.made import save_moments

RED, BLUE = (220, 30, 30), (30, 30, 220)


def film(path, seconds=4):
    """Red, then blue from the middle on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    halves = [np.full((64, 96, 3), colour, np.uint8) for colour in (RED, BLUE)]
    write_video(path, [half for half in halves for _ in range(5 * seconds // 2)], fps=5)


def pages(tmp_path, **options):
    _, page, _ = write_report([tmp_path / "saved"], tmp_path / "report", **options)
    return page.read_text()


def jpegs(page):
    found = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", page)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


def test_moments_are_shown_with_what_is_true_and_what_was_told(tmp_path):
    names = ("a", "b", "c")
    for name in names:
        film(tmp_path / "videos" / f"{name}.mp4")
    save_moments(tmp_path / "saved", names, texts="a <b>door</b> opens")
    page = pages(tmp_path, videos=tmp_path / "videos")
    pictures = jpegs(page)
    assert len(pictures) == 3 and page.count("<img") == 3
    captions = re.findall(r"<figcaption>(mini, [^<]+)</figcaption>", page)
    assert [c.split(":")[0] for c in captions] == ["mini, best", "mini, middle", "mini, worst"]
    assert "IoU 1.00; true 1.0 to 2.0 s; told 1.0 to 2.0 s" in captions[0]
    assert "in c, IoU 0.00; true 1.0 to 2.0 s; told 2.0 to 3.0 s" in captions[2]
    assert "&lt;b&gt;door&lt;/b&gt;" in captions[0] and "<b>" not in page
    assert re.findall(r'alt="Frames of a at [\d., ]+ s"', page)
    pages(tmp_path)
    assert not jpegs(pages(tmp_path)), "none without --videos"


def test_frames_of_a_strip_are_those_on_screen(tmp_path):
    film(tmp_path / "a.mp4")
    rgb_HWC, times_F = frames_of(tmp_path / "a.mp4", 4.0)
    assert len(times_F) == 8 and (np.diff(times_F) > 0).all()
    width = rgb_HWC.shape[1] // 8
    middles = [rgb_HWC[rgb_HWC.shape[0] // 2, n * width + width // 2] for n in range(8)]
    assert [bool(m[0] > m[2]) for m in middles] == [time < 2 for time in times_F.tolist()]


def test_a_video_that_cannot_be_shown_is_said_so(tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "b.mp4").write_bytes(b"no film")
    path = save_moments(tmp_path / "saved", ("a", "b"))
    page = pages(tmp_path, videos=tmp_path / "videos")
    assert not jpegs(page)
    assert "not shown: a is not in" in page and page.count("not shown: ") == 2
    lists_beside(path).unlink()
    assert "No moments of mini are shown" in pages(tmp_path, videos=tmp_path / "videos")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/etc/passwd", "a\x00b"])
def test_names_of_videos_lead_nowhere_else(tmp_path, name):
    (tmp_path / "videos").mkdir()
    save_moments(tmp_path / "saved", (name,))
    assert "not shown: " in pages(tmp_path, videos=tmp_path / "videos")


def analysis(folder, **models):
    """What `kinoscope analyze --to` writes."""
    folder.mkdir(parents=True)
    told = {
        model: {
            "t2v_r1": asdict(Metric(value=r1, low=r1 - 0.1, high=r1 + 0.1, n=50)),
            "gap": asdict(Metric(value=gap, n=50)),
        }
        for model, (r1, gap) in models.items()
    }
    (folder / "analysis.json").write_text(json.dumps(told))


def test_spaces_are_shown_with_gap_and_pictures(tmp_path):
    analysis(tmp_path / "saved", before=(0.4, 0.5), after=(0.6, 0.2))
    Image.new("RGB", (300, 200), RED).save(tmp_path / "saved" / "space.png")
    (tmp_path / "saved" / "margins.png").write_bytes(b"no picture")
    page = pages(tmp_path)
    assert "<td>40.0 (30.0 to 50.0)</td><td>60.0 (50.0 to 70.0)</td>" in page
    assert "<td>0.500</td><td>0.200</td>" in page
    (picture,) = jpegs(page)
    assert picture.size == (300, 200)
    assert "margins.png is not shown" in page
    assert (
        "joined in the order before, after" in page
        and page.count("<polyline") == 1
        and page.count("<circle") == 2
    )


WRONG = ("[]", "{}", '{"a": {}}', '{"a": {"gap": 1}}', '{"a": {"gap": {"value": "x", "n": 1}}}',
         '{"a": {"gap": {"value": NaN, "n": 1}}}', "[" * 10**5)  # fmt: skip


@pytest.mark.parametrize("content", WRONG)
def test_an_analysis_of_another_form_is_left_out(tmp_path, content):
    analysis(tmp_path / "saved" / "good", one=(0.4, 0.5))
    (tmp_path / "saved" / "bad").mkdir()
    (tmp_path / "saved" / "bad" / "analysis.json").write_text(content)
    page = pages(tmp_path)
    assert "Saved evaluations: 0, benchmarks: 0, analyses: 1." in page
    assert "Files left out: 1." in page and "analysis.json" in page
