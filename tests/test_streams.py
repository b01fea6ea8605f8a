"""Streams from servers on this machine: cut, silent, gone for a while, gone for good; http, tcp, udp, rtsp."""

import csv
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count, islice, pairwise

import av
import pytest
import torch
from conftest import moving_square
from made_videos import encode

import videozoo.data.stream
from videozoo import create_model
from videozoo.cli import main
from videozoo.data.container import Opening
from videozoo.data.decoding import VideoWarning
from videozoo.data.stream import Stream
from videozoo.errors import SettingError, VideoError
from videozoo.inference.windows import predict_windows

FPS, SECONDS = 10, 6
PATIENT = Opening(timeout=30.0)  # a busy machine is slow, and no break


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(3)
    return create_model("tsm_resnet10_tiny", num_classes=4).eval()


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    options = {"preset": "ultrafast", "g": "5", "bf": "0"}
    frames = moving_square(FPS * SECONDS, 48, 64)
    return encode(tmp_path_factory.mktemp("streams") / "live.ts", options=options, frames=frames, fps=FPS)


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(videozoo.data.stream, "FIRST_DELAY", 0.01)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        parts = self.server.parts(next(self.server.numbers))
        if parts is None:
            self.send_error(503)
            return
        self.send_response(200)
        if self.server.length is not None:
            self.send_header("Content-Length", str(self.server.length))
        self.end_headers()
        for part in parts:
            if isinstance(part, threading.Event):
                part.wait(60)
            else:
                self.wfile.write(part)
                self.wfile.flush()

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(video):
    """Start a server whose n-th answer (from 0) is ``parts(n)``: bytes, and events to wait for; None refuses."""
    servers = []

    def start(parts, *, length=False):
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.parts, server.numbers = parts, count()
        server.length = video.stat().st_size if length else None
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/live"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def collect(answers):
    """What came before the error, and the error (None: there was none)."""
    rows = []
    try:
        for answer in answers:
            rows.append(answer)
    except VideoError as error:
        return rows, str(error)
    return rows, None


def same(answer, other):
    return torch.allclose(answer.scores, other.scores, atol=1e-5)


def test_a_file_on_a_server_goes_on_where_it_was_cut(model, video, serve):
    data = video.read_bytes()
    url = serve(lambda n: [data[: len(data) * (n + 2) // 6]] if n < 3 else [data], length=True)
    with pytest.warns(VideoWarning, match=r"broke off after .* s \(Input/output error\), attempt 1 of 3 to open it"):
        rows, error = collect(predict_windows(model, url, window=1, stride=1, opening=PATIENT))
    assert error is None
    whole = list(predict_windows(model, video, window=1, stride=1))
    assert [(row.start, row.end) for row in rows] == [(row.start, row.end) for row in whole]
    assert len(whole) == SECONDS
    assert sum(same(row, other) for row, other in zip(rows, whole, strict=True)) >= SECONDS - 3  # a cut frame each


def test_a_live_stream_comes_back_later_on_the_clock(model, video, serve):
    data = video.read_bytes()
    url = serve(lambda n: {0: [data[: len(data) * 3 // 4]], 1: None, 2: [data]}.get(n))
    with pytest.warns(VideoWarning) as caught:
        rows, error = collect(predict_windows(model, url, window=1, stride=1, opening=PATIENT, reconnect=2))
    attempts = [str(warning.message) for warning in caught if "attempt" in str(warning.message)]
    assert [text.partition("attempt ")[2][:6] for text in attempts] == ["1 of 2", "2 of 2", "1 of 2", "2 of 2"]
    assert url in error
    assert "opening it again failed 2 times" in error
    assert len(rows) >= 3 + SECONDS
    assert all(before.end <= after.start + 1e-6 for before, after in pairwise(rows))
    again = [row for row in rows if same(row, rows[0])]
    assert len(again) == 2
    assert again[1].start >= 4


def test_a_window_is_answered_when_it_is_complete(model, video, serve):
    data = video.read_bytes()
    rest = threading.Event()
    url = serve(lambda n: [data[: len(data) * 2 // 3], rest, data[len(data) * 2 // 3 :]] if n == 0 else None)
    answers = predict_windows(model, url, window=1, stride=1, batch_size=64, opening=PATIENT, reconnect=0)
    first = next(answers)
    assert not rest.is_set()
    assert (first.start, first.end) == (0, 1)
    rest.set()
    rows, error = collect(answers)
    assert len(rows) == SECONDS - 1
    assert error.endswith("s (Input/output error)") or error.endswith("s (it ended)")


def test_silence_is_a_break(model, video, serve):
    data = video.read_bytes()
    never = threading.Event()
    url = serve(lambda n: [data[: len(data) * 2 // 3], never])
    rows, error = collect(predict_windows(model, url, window=1, stride=1, opening=Opening(timeout=1.5), reconnect=0))
    never.set()
    assert len(rows) >= 3
    assert "(no data in time)" in error

    silent = threading.Event()
    url = serve(lambda n: [silent])
    rows, error = collect(predict_windows(model, url, window=1, stride=1, opening=Opening(timeout=0.5)))
    silent.set()
    assert rows == []
    assert error == f"{url}: cannot be opened (no data in time)"


def test_leaving_early_ends_the_reading_thread(model, video, serve):
    data = video.read_bytes()
    url = serve(lambda n: [data])
    before = threading.active_count()
    answers = predict_windows(model, url, window=1, stride=1, opening=PATIENT, reconnect=1000)
    with pytest.warns(VideoWarning):
        list(islice(answers, 2 * SECONDS + 1))
    answers.close()
    deadline = time.monotonic() + 20
    while any("_read" in thread.name for thread in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before + 1  # the server's own thread may still close its connection


def test_tcp(model, video):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def send():
            connection, _ = server.accept()
            with connection:
                connection.sendall(video.read_bytes())

        threading.Thread(target=send, daemon=True).start()
        url = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        rows, error = collect(predict_windows(model, url, window=2, stride=1, opening=PATIENT, reconnect=0))
    assert len(rows) == SECONDS - 1
    assert "it ended" in error
    assert same(rows[0], next(predict_windows(model, video, window=2, stride=1)))


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_udp(model, video):
    port, stop = free_port(socket.SOCK_DGRAM), threading.Event()

    def send():
        data = video.read_bytes()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.is_set():
                for place in range(0, len(data), 1316):  # seven packets of a transport stream
                    sender.sendto(data[place : place + 1316], ("127.0.0.1", port))
                    if stop.wait(0.01):
                        return

    threading.Thread(target=send, daemon=True).start()
    answers = predict_windows(model, f"udp://127.0.0.1:{port}", window=1, stride=1, opening=PATIENT)
    try:
        assert [next(answers).scores.isfinite().all() for _ in range(2)]
    finally:
        stop.set()
        answers.close()


PUSH = """
import sys, time
import av
path, url = sys.argv[1:]
for _ in range(300):
    try:
        with av.open(path) as file, av.open(url, "w", format="rtsp", options={"rtsp_transport": "tcp"}) as out:
            copy = out.add_stream_from_template(file.streams.video[0])
            for packet in file.demux(video=0):
                if packet.dts is not None:
                    packet.stream = copy
                    out.mux(packet)
                    time.sleep(0.01)
        break
    except OSError:  # nobody listens yet
        time.sleep(0.2)
"""


def test_rtsp(model, video):
    if "rtsp" not in av.formats_available:
        pytest.skip("this PyAV was built without RTSP")
    url = f"rtsp://127.0.0.1:{free_port(socket.SOCK_STREAM)}/live"
    opening = Opening(options={"rtsp_flags": "listen", "listen_timeout": "60"}, timeout=60.0)
    with subprocess.Popen([sys.executable, "-c", PUSH, str(video), url]) as pushing:
        try:
            rows, error = collect(predict_windows(model, url, window=1, stride=1, opening=opening, reconnect=0))
        finally:
            pushing.kill()
    assert len(rows) >= SECONDS - 1
    assert f"{url}: broke off after" in error


def test_command_line_keeps_the_rows_of_a_lost_stream(video, serve, tmp_path, capsys):
    data = video.read_bytes()
    url = serve(lambda n: [data] if n == 0 else None)
    rows = tmp_path / "rows.csv"
    command = ["predict", url, "--window", "1s", "--format", "csv", "--topk", "1", "--output", str(rows)]
    assert main([*command, "--reconnect", "1", "--timeout", "30s", "--plot", str(tmp_path / "plot.png")]) == 1
    printed = capsys.readouterr()
    assert [line["start"] for line in csv.DictReader(rows.open())] == [f"{s}.000" for s in range(SECONDS)]
    assert "attempt 1 of 1 to open it again" in printed.err
    assert "opening it again failed 1 times" in printed.err
    assert f"{SECONDS} windows, {SECONDS}.0 s of video in" in printed.err
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_command_line_and_a_stream_that_never_opens(tmp_path, capsys):
    port = free_port(socket.SOCK_STREAM)
    url = f"http://127.0.0.1:{port}/nothing"
    rows = tmp_path / "rows.csv"
    assert main(["predict", url, "--window", "1s", "--output", str(rows)]) == 2
    assert capsys.readouterr().err.splitlines() == [f"videozoo: {url}: cannot be opened (Connection refused)"]
    assert not rows.exists()


def test_what_is_live(video, tmp_path):
    with Stream(str(video)) as stream:
        assert not stream.live
        assert stream.fps == FPS
    with pytest.raises(VideoError, match="no such file"):
        Stream(str(tmp_path / "absent.ts"))
    with pytest.raises(VideoError, match="cannot be opened"):
        Stream(f"http://127.0.0.1:1/{'x' * 5000}")
    with pytest.raises(SettingError, match="input format 'nope'"):
        Stream(str(video), opening=Opening("nope"))
