"""Stored flow: .flo files, 8-bit pictures, extraction that can be interrupted."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from conftest import moving_square, write_video

from videozoo.cli import main
from videozoo.data.decoding import VideoReader
from videozoo.data.flow_extraction import FlowSettings, Task, extract, flow_of_video, plan
from videozoo.data.flow_files import read_flo, write_flo
from videozoo.data.flow_images import decode_flow, encode_flow
from videozoo.data.flow_solvers import create_solver, resolve_solver
from videozoo.data.flow_source import open_flow
from videozoo.data.flow_writers import WRITERS
from videozoo.errors import SettingError, VideoError


def test_flo_round_trip(tmp_path):
    flow = torch.randn(2, 5, 7)
    flow[:, 0, 0] = 1.6666668e9
    write_flo(tmp_path / "a.flo", flow)
    assert torch.equal(read_flo(tmp_path / "a.flo"), flow)
    content = (tmp_path / "a.flo").read_bytes()
    assert np.frombuffer(content[:4], "<f4")[0] == np.float32(202021.25)
    assert np.frombuffer(content[4:12], "<i4").tolist() == [7, 5]
    assert np.frombuffer(content[12:20], "<f4").tolist() == flow[:, 0, 0].tolist()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no .flo file"),
        (b"PIEH\x02", "0 pixels"),
        (b"RIFF" + bytes(20), "no .flo file"),
        (b"PIEH" + np.array([-1, 3], "<i4").tobytes(), "-1 x 3"),
        (b"PIEH" + np.array([2, 3], "<i4").tobytes() + bytes(47), "59 bytes, but 2 x 3 pixels make 60"),
    ],
)
def test_damaged_flo_files(tmp_path, content, message):
    path = tmp_path / "bad.flo"
    path.write_bytes(content)
    with pytest.raises(VideoError, match=message) as caught:
        read_flo(path)
    assert str(path) in str(caught.value)
    with pytest.raises(VideoError, match="cannot be read"):
        read_flo(tmp_path / "absent.flo")


def test_middlebury_ground_truth(shared, reference):
    recorded = reference("protocols/middlebury_epe.json")["pairs"]["RubberWhale"]
    flow = read_flo(shared("data/middlebury/RubberWhale/flow10.flo"))
    known = (flow.abs() <= 1e9).all(dim=0)
    assert list(flow.shape[:0:-1]) == recorded["size"]
    assert known.sum().item() == recorded["counted_pixels"]
    assert flow[:, known].double().mean(dim=1).tolist() == pytest.approx(recorded["mean_motion"], abs=1e-6)


def test_levels_by_hand():
    """Values of the TSN convention; no motion is 128, half levels go to the even neighbour."""
    flow = torch.tensor([-1000.0, -20.0, -10.0, -1.0, 0.0, 0.5, 10.0, 20.0, 1000.0])
    levels = [0, 0, 64, 121, 128, 131, 191, 255, 255]
    assert encode_flow(flow).tolist() == levels
    assert encode_flow(torch.tensor([-10.0, 10.0]), bound=15).tolist() == [42, 212]
    assert decode_flow(torch.tensor([0, 128, 255], dtype=torch.uint8)).tolist() == pytest.approx(
        [-20, 0.0784314, 20], abs=1e-5
    )
    inside = torch.linspace(-20, 20, 1001)
    assert (decode_flow(encode_flow(inside)) - inside).abs().max() < 0.0785


def test_recorded_levels(reference):
    recorded = reference("protocols/flow_images.json")
    values = torch.tensor(recorded["values"])
    assert encode_flow(values).tolist() == recorded["encoded_dense_flow_rounding"]
    expected = torch.tensor(recorded["decoded_dense_flow_rounding"])
    torch.testing.assert_close(decode_flow(encode_flow(values)), expected, rtol=0, atol=1e-5)
    for bound, other in recorded["other_bounds"].items():
        assert encode_flow(values, float(bound)).tolist() == other["encoded_rounding"]


def test_recorded_loss_of_storing(shared, reference, tmp_path):
    recorded = reference("protocols/flow_images.json")["middlebury_round_trip"]["Grove2"]
    flow = read_flo(shared("data/middlebury/Grove2/flow10.flo"))
    levels = encode_flow(flow)
    rounding = (decode_flow(levels) - flow).abs().mean().item()
    assert rounding == pytest.approx(recorded["u8_only"]["mean_abs"], rel=1e-4)
    with WRITERS["jpeg"](tmp_path / "a", fps=25, quality=95) as writer:
        writer.write(levels[None])
    with open_flow(tmp_path / "a") as source:
        stored = source.frames([0])[0]
    loss = (decode_flow(stored) - flow).abs().mean().item()
    assert loss == pytest.approx(recorded["jpeg_95"]["mean_abs"], rel=0.01)


@pytest.mark.parametrize("kind", ["jpeg", "h264"])
def test_written_flow_reads_back(tmp_path, kind):
    y, x = torch.meshgrid(torch.arange(34.0), torch.arange(41.0), indexing="ij")
    flow = torch.stack([torch.stack([torch.sin(x / 6 + i) * 8, torch.cos(y / 5 - i) * 4]) for i in range(7)])
    levels = encode_flow(flow)
    path = tmp_path / f"v{WRITERS[kind].suffix}"
    with WRITERS[kind](path, fps=29.97, quality={"jpeg": 98, "h264": 4}[kind]) as writer:
        writer.write(levels[:3])
        writer.write(levels[3:])
    assert writer.count == 7
    with open_flow(path) as source:
        assert source.frame_count == 7
        stored = source.frames([6, 0, 3])
    assert stored.dtype == torch.uint8
    assert (stored.int() - levels[[6, 0, 3]].int()).abs().float().mean() < 1
    assert (decode_flow(stored) - flow[[6, 0, 3]]).abs().max() < 1.0


def test_lossless_h264_keeps_every_level(tmp_path):
    levels = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16).repeat(2, 2, 1, 1)
    with WRITERS["h264"](tmp_path / "v.mp4", fps=25, quality=0) as writer:
        writer.write(levels)
    with open_flow(tmp_path / "v.mp4") as source:
        assert (source.frames([0, 1]).int() - levels.int()).abs().max() <= 1


def test_stored_flow_that_is_no_flow(tmp_path):
    with pytest.raises(VideoError, match="0 pictures flow_x"):
        open_flow(tmp_path)
    (tmp_path / "flow_x_00001.jpg").write_bytes(b"no picture")
    (tmp_path / "flow_y_00001.jpg").write_bytes(b"no picture")
    with open_flow(tmp_path) as source:
        with pytest.raises(VideoError, match="flow_x_00001"):
            source.frames([0])
        with pytest.raises(VideoError, match="flow 1 was asked for, there are 1"):
            source.frames([1])


def test_solver_names():
    assert resolve_solver("tvnet", "cuda:1") == "tvnet"
    assert resolve_solver("auto", "cuda") == "tvnet"
    with pytest.raises(SettingError, match="must be one of auto, opencv, tvnet"):
        resolve_solver("farneback", "cpu")
    with pytest.raises(SettingError, match="CPU only"):
        resolve_solver("opencv", "cuda")


@pytest.mark.parametrize("name", ["opencv", "tvnet"])
def test_flow_of_a_drifting_texture(tmp_path, name):
    if name == "opencv":
        pytest.importorskip("cv2.optflow")
    coarse = torch.rand(1, 1, 40, 48)
    texture = torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bicubic")[0, 0].clamp(0, 1)
    moved = [texture[30 - i : 94 - i, 60 - 2 * i : 140 - 2 * i] for i in range(18)]  # 1 down, 2 to the right
    frames = (255 * torch.stack(moved)[..., None].expand(-1, -1, -1, 3)).byte().numpy()
    with VideoReader(write_video(tmp_path / "v.mp4", frames)) as reader:
        flow = torch.cat(list(flow_of_video(reader, create_solver(name))))
    assert flow.shape == (17, 2, 64, 80)
    assert flow[:, :, 8:-8, 8:-8].flatten(2).median(dim=2).values[[0, 14, 15]].flatten().tolist() == pytest.approx(
        [2, 1] * 3, abs=0.2
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    root = tmp_path_factory.mktemp("library")
    (root / "walk").mkdir()
    for name, count in (("walk/a.mp4", 3), ("walk/b.mp4", 2), ("c.avi", 2), ("single.mp4", 1)):
        write_video(root / name, moving_square(count, 48, 64))
    (root / "walk" / "broken.mp4").write_bytes(b"not a video")
    (root / "notes.txt").write_text("no video")
    return root


def run_extract(library, out, *more):
    return main(["flow", "extract", str(library), str(out), "--solver", "tvnet", "--short-side", "24", *more])


def test_extract_skips_what_is_done_and_redoes_what_is_half_done(library, tmp_path, capsys):
    assert run_extract(library, tmp_path) == 1
    printed = capsys.readouterr()
    assert "3 videos written" in printed.out
    assert "0 were there, 2 failed" in printed.out
    assert "broken.mp4" in printed.err
    assert "single.mp4: has one frame" in printed.err
    pictures = sorted(path.name for path in (tmp_path / "walk" / "a").iterdir())
    assert pictures == [f"flow_{axis}_{i:05d}.jpg" for axis in "xy" for i in range(1, 3)]
    with open_flow(tmp_path / "c") as source:
        assert source.frames([0]).shape == (1, 2, 24, 32)

    # As a killed run leaves it: one video half written, another whole.
    (tmp_path / "walk" / "a").rename(tmp_path / "walk" / "a.partial")
    (tmp_path / "walk" / "a.partial" / "flow_y_00002.jpg").unlink()
    kept = (tmp_path / "c" / "flow_x_00001.jpg").stat().st_mtime_ns
    assert run_extract(library, tmp_path) == 1
    assert "1 videos written" in capsys.readouterr().out
    assert sorted(path.name for path in (tmp_path / "walk" / "a").iterdir()) == pictures
    assert (tmp_path / "c" / "flow_x_00001.jpg").stat().st_mtime_ns == kept
    assert not list(tmp_path.rglob("*.partial"))


def test_extract_to_video_files(library, tmp_path, capsys):
    assert run_extract(library, tmp_path, "--format", "h264") == 1
    with open_flow(tmp_path / "walk" / "a.mp4") as source:
        assert (source.frame_count, source.frames([1]).shape) == (2, (1, 2, 24, 32))
    assert json.loads((tmp_path / "flow.json").read_text())["format"] == "h264"


def test_extract_does_not_mix_kinds_of_flow(library, tmp_path):
    settings = FlowSettings("tvnet", short_side=24)
    tasks, done = plan(library, tmp_path, settings)
    assert (len(tasks), done) == (5, 0)
    with pytest.raises(SettingError, match=r"holds flow with bound 20.0, not 8"):
        plan(library, tmp_path, FlowSettings("tvnet", short_side=24, bound=8))
    with pytest.raises(SettingError, match="no videos"):
        plan(tmp_path, tmp_path / "out", settings)
    (tmp_path / "walk.mp4").touch()
    (tmp_path / "walk.avi").touch()
    with pytest.raises(SettingError, match="would both be written"):
        plan(tmp_path, tmp_path / "out", settings)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--workers", "0"], "must be at least 1"),
        (["--bound", "-3"], "bound -3.0: must be positive"),
        (["--quality", "0"], "quality 0 of jpeg: must be 1 to 100"),
        (["--format", "h264", "--quality", "60"], "must be 0 to 51"),
        (["--short-side", "3"], "at least 16"),
    ],
)
def test_extract_with_wrong_settings(library, tmp_path, capsys, more, message):
    assert main(["flow", "extract", str(library), str(tmp_path / "out"), *more]) == 2
    assert message in capsys.readouterr().err
    assert main(["flow", "extract", str(tmp_path / "absent"), str(tmp_path)]) == 2


@pytest.mark.slow
def test_one_worker_and_two_write_the_same(library, tmp_path):
    settings = FlowSettings("tvnet", short_side=24)
    trees = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        tasks, _ = plan(library, out, settings)
        chosen = [task for task in tasks if task.video.name in ("a.mp4", "broken.mp4")]
        errors = [error for _, error in extract(chosen, settings, workers=workers)]
        assert sum(error is not None for error in errors) == 1
        trees.append({path.relative_to(out): path.read_bytes() for path in out.rglob("*.jpg")})
    assert trees[0] == trees[1]
    assert len(trees[0]) == 4


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_goes_on(tmp_path, workers):
    root = tmp_path / "videos"
    root.mkdir()
    for i in range(5):
        write_video(root / f"v{i}.mp4", moving_square(6, 48, 64))
    program = "import sys; from videozoo.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "flow", "extract", str(root)]
    command += ["--solver", "tvnet", "--workers", str(workers)]
    process = subprocess.Popen([*command, str(tmp_path / "killed")])
    while not (tmp_path / "killed" / "v1").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = [path.name for path in (tmp_path / "killed").iterdir() if path.name.startswith("v")]
    assert len([name for name in finished if not name.endswith(".partial")]) < 5
    for out in ("killed", "whole"):
        assert subprocess.run([*command, str(tmp_path / out)]).returncode == 0
    killed, whole = (
        {path.relative_to(tmp_path / out): path.read_bytes() for path in (tmp_path / out).rglob("*.jpg")}
        for out in ("killed", "whole")
    )
    assert killed == whole
    assert len(whole) == 5 * 5 * 2


def test_task_names_its_places(tmp_path):
    (_, error), *_ = extract([Task(tmp_path / "absent.mp4", tmp_path / "absent")], FlowSettings("tvnet"))
    assert "absent.mp4" in error
    assert not (tmp_path / "absent.partial").exists()
