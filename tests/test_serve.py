"""The demo: what it offers, what it says without Gradio, and the app driven in a browser."""

import re
import runpy
import socket
from pathlib import Path

import pytest
import yaml
from browser import LOADED, browser_page

from videozoo.cli import main
from videozoo.cli.demo_app import demo_app, launch, offered
from videozoo.data.moving_digits_files import write_digit_videos
from videozoo.errors import UnknownNameError
from videozoo.hub.manifest import embedded_models, model_info

SPACE = Path(__file__).parents[1] / "examples/space"


def test_released_checkpoints_of_videos_are_offered_embedded_ones_first():
    names = offered()
    embedded = embedded_models()
    assert sorted(names[: len(embedded)]) == sorted(embedded)
    assert all(model_info(name).status == "released" for name in names)


def test_without_gradio_one_line_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr("videozoo.cli.serve.find_spec", lambda name: None)
    assert main(["serve"]) == 2
    assert capsys.readouterr().err == "videozoo: the demo needs Gradio: pip install 'videozoo[demo]'\n"


def test_a_port_that_is_none_is_one_line(capsys):
    assert main(["serve", "--port", "70000"]) == 2
    assert capsys.readouterr().err == "videozoo: --port 70000: must be from 1 to 65535\n"


def test_the_spaces_front_matter_names_what_is_there():
    front = yaml.safe_load((SPACE / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio"
    assert (SPACE / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60  # the hub's limit


@pytest.fixture
def gradio(monkeypatch):
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    return pytest.importorskip("gradio", reason="needs gradio (pip install 'videozoo[demo]')")


@pytest.mark.slow
@pytest.mark.parametrize("source", ["verb", "space"])
def test_the_app_in_a_browser(source, gradio, tmp_path):
    (good,) = write_digit_videos(tmp_path / "videos", 1, 3, part="test")
    bad = tmp_path / "words.mp4"
    bad.write_text("no video")
    if source == "space":
        app = runpy.run_path(str(SPACE / "app.py"))["app"]
    else:
        app = demo_app(["tsm_resnet10_tiny.moving_digits", "mbpm_tsm_resnet10_tiny.moving_digits"])
    launch(app, server_name="127.0.0.1", prevent_thread_lock=True, quiet=True)
    try:
        with browser_page() as page:
            page.goto(app.local_url)
            page.wait_for_selector("#look")
            page.set_input_files("input[type=file]", good)
            page.wait_for_selector("video[src]")
            page.click("#look")
            page.wait_for_selector("#views img")
            page.wait_for_function(LOADED)
            assert page.evaluate("document.querySelectorAll('#views img').length") >= 2
            assert re.search(rf"took \d+ ms to read and answer {good.name}", page.inner_text("#status"))
            answer = page.inner_text("#answer").split()
            assert {"up", "down", "left", "right"} < set(answer)
            assert answer[1] == good.parent.name
            assert "Licence of the weights: Apache-2.0" in page.inner_text("#card")

            page.click("#model input")
            page.click("text=mbpm_tsm_resnet10_tiny.moving_digits")
            page.wait_for_selector("#card >> text=0.0374 G")
            page.click("#look")
            page.wait_for_selector("#views >> text=Busy maps")

            page.goto(app.local_url)
            page.set_input_files("input[type=file]", bad)
            page.wait_for_timeout(1000)
            page.click("#look")
            page.wait_for_selector("#status >> text=words.mp4: not a video")
            assert str(tmp_path) not in page.inner_text("body")
            assert "Traceback" not in page.inner_text("body")
            assert page.query_selector("#views img") is None
            hosts = {address.split("/")[2] for address in page.requested if address.startswith("http")}
            assert hosts == {app.local_url.split("/")[2]}
    finally:
        app.close()


@pytest.mark.slow
def test_a_taken_port_and_an_unknown_model_are_one_line(gradio, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["serve", "--model", "tsm_resnet10_tiny.moving_digits", "--port", str(port)]) == 2
    assert f"--port {port}: cannot be had" in capsys.readouterr().err
    with pytest.raises(UnknownNameError):
        demo_app(["tsm_resnet10_tiny.moving_digitz"])
