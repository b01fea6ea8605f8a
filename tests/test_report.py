"""A page about a model on videos: its pictures, its clip, its chart, the command line, and the page in a browser."""

import io
import re

import av
import pytest
import torch
from browser import LOADED, browser_page
from conftest import moving_square, write_video
from PIL import Image

from videozoo import create_model
from videozoo.cli import main
from videozoo.data.moving_digits_files import write_digit_videos
from videozoo.errors import SettingError, VideoError
from videozoo.visualization import small_clip as clips
from videozoo.visualization.grad_cam import grad_cam
from videozoo.visualization.line_chart import Chart, line_chart
from videozoo.visualization.method_views import method_views, strongest_place
from videozoo.visualization.small_clip import small_clip

CHECKPOINT = "tsm_resnet10_tiny.moving_digits"
SEEN = {
    "tsm": set(),
    "se": set(),
    "rnl": {"Attention"},
    "cpa": {"Attention"},
    "bqn": {"Busy maps", "Busy and Quiet", "Kernels"},
    "mbpm": {"Busy maps", "Kernels"},
    "dan": {"Dynamic appearance"},
    "tesnet": {"Squeezed images"},
    "dynamic_image": {"Dynamic images"},
    "rgb_difference": {"Differences of frames"},
    "tvnet": {"Flow"},
    "fullvideo": {"Clusters"},
    "datp": {"Segment weights"},
    "pbnet": {"Chosen snippets"},
}


def tiny(method, **settings):
    name = "tsm_resnet10_tiny"
    return create_model(name if method == "tsm" else f"{method}_{name}", 3, **settings).eval()


# ---- what the method sees


@pytest.mark.parametrize("method", SEEN)
def test_every_method_shows_what_is_its_own(method):
    model = tiny(method)
    views = method_views(model, torch.randn(1, model.clip_spec.frames, 3, 32, 32))
    titles = [view.title for view in views]
    assert (titles[0], titles[-1]) == ("Frames read", "Where the answer is")
    assert set(titles[1:-1]) == SEEN[method]
    for view in views:
        assert view.explanation.endswith(".")
        assert len(view.picture.getcolors(maxcolors=2**24)) > 50


def test_squeezes_within_a_network_are_no_pictures():
    model = tiny("tesnet", placements=(("stem", 1),), frames=4, segments=2)
    assert [view.title for view in method_views(model, torch.randn(1, 8, 3, 32, 32))][1:] == ["Where the answer is"]


def test_networks_of_flow_are_refused():
    with pytest.raises(SettingError, match="cannot be shown as pictures"):
        method_views(tiny("tesnet", modality="flow"), torch.randn(1, 10, 2, 32, 32))


def test_heat_has_a_map_for_every_frame_of_snippets_and_of_clusters():
    model = tiny("pbnet", snippets=4, chosen=2, snippet_frames=3)
    heat, _ = grad_cam(model, torch.randn(1, 12, 3, 64, 64))
    assert len(heat) == 12
    assert (heat.flatten(1).amax(dim=1) > 0).sum() > 3  # not the first snippet alone

    model = tiny("fullvideo", clusters=4, padding="count", recompute=False)
    clip = torch.randn(1, 16, 3, 64, 64)
    heat, _ = grad_cam(model, clip)
    assert len(heat) == 16
    ids = model.assign(clip)[0]
    same = ids[1:] == ids[:-1]
    assert same.any()
    assert torch.equal(heat[1:][same], heat[:-1][same])


def test_the_strongest_place_is_where_the_heat_is():
    model = tiny("tsm")
    clip = torch.randn(1, 8, 3, 64, 64)
    heat, _ = grad_cam(model, clip)
    t, y, x = strongest_place(model, clip)
    assert heat[t, y * heat.shape[1] // 64, x * heat.shape[2] // 64] == heat.max()


# ---- clip and chart


def frames_of(mp4):
    with av.open(io.BytesIO(mp4)) as container:
        stream = container.streams.video[0]
        return stream.codec_context.name, [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]


def test_a_clip_is_small_and_even_and_shows_the_same(tmp_path):
    source = moving_square(20, 322, 486)
    clip = small_clip(write_video(tmp_path / "odd.mp4", source, fps=50))
    codec, frames = frames_of(clip.mp4)
    assert codec == "h264"
    assert len(frames) == 10  # every other one of 50 a second
    assert frames[0].shape[:2] == (240, 362)
    assert (clip.seconds, clip.shown) == (0.4, 0.4)
    assert abs(int(frames[3][200, 340].mean()) - int(source[6, 268, 457].mean())) < 8


def test_a_long_video_is_cut_and_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(clips, "MOST_SECONDS", 1)
    video = write_video(tmp_path / "long.mp4", moving_square(75, 64, 64))
    clip = small_clip(video)
    assert (clip.seconds, clip.shown) == (3.0, 1.0)
    assert len(frames_of(clip.mp4)[1]) == 25
    assert main(["report", "tsm_resnet10_tiny", str(video), "--out", str(tmp_path / "page.html")]) == 0
    assert "3.0 s; the first 1 s are shown" in (tmp_path / "page.html").read_text()


def test_what_is_no_video_is_no_clip(tmp_path):
    (tmp_path / "text.mp4").write_text("words")
    with pytest.raises(VideoError, match=r"text\.mp4"):
        small_clip(tmp_path / "text.mp4")


def test_a_chart_over_time_says_where_its_edges_are():
    svg = line_chart(Chart("P", {"a": [0.5, 1.0]}, across="second", places=[1.0, 3.0], limits=(0.0, 4.0)), width=470)
    assert 'data-first="0" data-last="4" data-left="62" data-right="462"' in svg
    assert 'points="162.0,' in svg  # a quarter of 400 pixels from the left
    assert re.findall(r'text-anchor="middle">([^<]+)<', svg) == ["0", "1", "2", "3", "4"]


# ---- command line


def test_good_files_are_shown_and_bad_ones_named(videos, tmp_path, capsys):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    odd = tmp_path / "a<b>&.mp4"
    odd.write_bytes(videos[1].read_bytes())
    out = tmp_path / "page.html"
    assert main(["report", CHECKPOINT, str(videos[0]), str(bad), str(odd), "--out", str(out), "--window", "500ms"]) == 1
    printed = capsys.readouterr()
    assert str(out) in printed.out
    assert printed.err.count("\n") == 1
    assert str(bad) in printed.err
    page = out.read_text()
    assert page.count("<article>") == page.count("data:video/mp4;base64,") == 2
    assert "a&lt;b&gt;&amp;.mp4" in page
    assert "a<b>" not in page
    assert str(tmp_path) not in page
    for fact in (CHECKPOINT, "0.31 M", "come with videozoo", "sha256", "Measured with videozoo", "Apache-2.0"):
        assert fact in page
    assert not re.search(r"<(link|iframe|script[^>]+src)|@import|src=\"http", page)
    assert [file.name for file in tmp_path.iterdir() if "page" in file.name] == ["page.html"]


def test_without_a_good_file_nothing_is_written(tmp_path, capsys):
    out = tmp_path / "page.html"
    assert main(["report", "x3d_tiny", str(tmp_path / "none.mp4"), "--out", str(out)]) == 1
    assert "none.mp4: no such file" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_damage_is_told_once(tmp_path, videos, capsys):
    whole = videos[0].read_bytes()
    packets = bytearray(whole)
    middle = whole.index(b"mdat") + 3 * (len(whole) // 8)
    packets[middle : middle + 200] = bytes(200)
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(packets)
    assert main(["report", "x3d_tiny", str(damaged), "--out", str(tmp_path / "page.html")]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told
    assert len(told) == len(set(told))


def test_random_weights_are_called_so(videos, tmp_path):
    out = tmp_path / "page.html"
    assert main(["report", "x3d_tiny", str(videos[2]), "--out", str(out)]) == 0
    assert "random weights" in out.read_text()


@pytest.mark.parametrize(("words", "message"), [
    (["--out", "page.txt"], "--out page.txt: must end in .html"),
    (["--out", "missing/page.html"], "--out missing/page.html: its folder does not exist"),
])  # fmt: skip
def test_wrong_settings_are_one_line(words, message, videos, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["report", "x3d_tiny", str(videos[0]), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_stored_flow_makes_no_report(videos, capsys, tmp_path, monkeypatch):
    flow = tiny("tesnet", modality="flow")
    monkeypatch.setattr("videozoo.cli.models.load_or_create", lambda name: flow)
    assert main(["report", "flow_net", str(videos[0]), "--out", str(tmp_path / "page.html")]) == 2
    assert "flow_net: reads stored flow" in capsys.readouterr().err


# ---- in a browser


@pytest.mark.slow
def test_the_page_in_a_browser(tmp_path):
    files = write_digit_videos(tmp_path / "videos", 2, 3, part="test")
    out = tmp_path / "page.html"
    assert main(["report", "rnl_tsm_resnet10_tiny.moving_digits", *map(str, files), "--out", str(out)]) == 0
    with browser_page() as page:
        page.goto(out.as_uri())
        page.wait_for_function(LOADED)
        assert page.evaluate("document.images.length") == 2 * 3  # frames, attention, where the answer is
        for video in page.query_selector_all("video"):
            video.scroll_into_view_if_needed()  # a browser plays what is seen
            page.wait_for_function("(video) => video.currentTime > 0.2", arg=video)
            size = video.evaluate("(video) => [video.videoWidth, video.videoHeight, video.duration, video.error]")
            assert size == [128, 128, 2, None]
        charts = page.query_selector_all(".chart svg")
        assert len(charts) == 2
        for chart in charts:
            curves = chart.query_selector_all("polyline.curve")
            assert len(curves) == 4
            assert all(len(curve.get_attribute("points").split()) > 5 for curve in curves)
            drawn = Image.open(io.BytesIO(chart.screenshot())).convert("RGB")
            colours = dict((colour, count) for count, colour in drawn.getcolors(maxcolors=2**24))
            assert colours.get((0x4A, 0x7F, 0xD6), 0) > 100  # pixels of the first curve
        charts[0].scroll_into_view_if_needed()
        cursor = page.query_selector(".cursor")
        box = charts[0].bounding_box()
        page.evaluate("document.querySelector('video').pause()")
        page.mouse.click(box["x"] + box["width"] * 0.75, box["y"] + 100)
        page.wait_for_function("document.querySelector('video').currentTime > 1.2")
        page.wait_for_timeout(200)
        assert float(cursor.get_attribute("x1")) > 0.7 * 640
        screenshot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
        assert len(screenshot.getcolors(maxcolors=2**24)) > 1000
        assert page.said == []
        assert all(address.startswith(("data:", "file:")) for address in page.requested)
