"""Flow as data modules read it, motion made on the fly, and mixed batches."""

import shutil

import pytest
import torch
from two_processes import new_trainer

from videozoo import create_model
from videozoo.clip_spec import ClipSpec
from videozoo.data.batch_mixing import BatchMixing, denormalise
from videozoo.data.datamodules import UCF101, VideoFolder
from videozoo.data.flow_extraction import FlowSettings, extract, plan
from videozoo.data.flow_source import open_flow
from videozoo.data.transforms import normalise
from videozoo.errors import SettingError

FLOW = ClipSpec(frames=20, frames_per_segment=10, size=32, resize=36).of_flow()


@pytest.fixture
def folder(tmp_path, videos):
    for part, name, video in (("train", "jump", 0), ("train", "run", 1), ("val", "jump", 2), ("val", "run", 0)):
        (tmp_path / "videos" / part / name).mkdir(parents=True)
        shutil.copy(videos[video], tmp_path / "videos" / part / name / "v1.0.mp4")
    return tmp_path / "videos"


@pytest.fixture
def zero_motion(monkeypatch):
    """Flow without a solver: the motion of frame i is i pixels to the right."""
    monkeypatch.setattr(
        "videozoo.data.flow_extraction._solver",  # which keeps the last solver of the process
        lambda name, device: lambda frames: torch.ones(len(frames) - 1, 2, *frames.shape[-2:]),
    )


@pytest.mark.parametrize("form", ["jpeg", "h264"])
def test_stored_flow_in_the_place_of_videos(folder, tmp_path, zero_motion, form):
    out = tmp_path / "flow"
    settings = FlowSettings("tvnet", form, quality=95 if form == "jpeg" else 10)
    tasks, _ = plan(folder, out, settings)
    assert [problem for _, problem in extract(tasks, settings)] == [None] * 4
    data = VideoFolder(folder, clip_spec=FLOW, flow_root=out, batch_size=2)
    batch = next(iter(data.train_dataloader()))
    assert batch["clip"].shape == (2, 20, 2, 32, 32)
    assert batch["failed"].tolist() == []
    level = ((torch.tensor(134.0) / 255) - 0.5) / 0.226  # one pixel
    view = data.dataset("val")[1]["clip"]
    assert torch.allclose(view, level.expand_as(view), atol=3 / 255 / 0.226)
    assert data.dataset("val")[1]["label"] == 1
    with open_flow(data.dataset("train").annotations.path(0)) as source:
        assert source.frame_count == 39

    network = create_model("pbnet_tsm_resnet10_tiny", 2, snippets=2, chosen=1, flow_lengths=(5, 10))
    assert network.clip_spec.frames_per_segment == 10, "snippets of 5 fields are cut from those of 10"
    trainer = new_trainer(max_epochs=1, limit_val_batches=1)
    trainer.fit(network, data)
    assert trainer.callback_metrics["train/loss"].isfinite()


def test_flow_settings(folder, tmp_path):
    with pytest.raises(SettingError, match="need flow_root"):
        VideoFolder(folder, clip_spec=FLOW)
    (tmp_path / "flow").mkdir()
    listed = tmp_path / "list.csv"
    listed.write_text("train/jump/v1.0.mp4,a,0,1\n")
    with pytest.raises(SettingError, match="--format h264"):
        VideoFolder(folder, train=listed, val=listed, clip_spec=FLOW, flow_root=tmp_path / "flow").dataset("train")


def test_flow_of_the_folder_of_videos_inside_a_data_set(tmp_path, videos):
    shutil.copytree(videos[0].parent, tmp_path / "ucf" / "UCF-101" / "Jump")
    lists = tmp_path / "ucf" / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 Jump\n")
    (lists / "trainlist01.txt").write_text("Jump/clip0.mp4 1\n")
    for flow in ("inside", "whole/UCF-101"):
        (tmp_path / flow / "Jump" / "clip0").mkdir(parents=True)
        data = UCF101(tmp_path / "ucf", clip_spec=FLOW, flow_root=tmp_path / flow.split("/")[0])
        assert data.dataset("train").annotations.path(0) == tmp_path / flow / "Jump" / "clip0"


@pytest.mark.parametrize("name", ["rgb_difference_tsm_resnet10_tiny", "tvnet_tsm_resnet10_tiny"])
def test_motion_on_the_fly_from_the_same_videos(folder, name):
    model = create_model(name, 2)
    data = VideoFolder(folder, clip_spec=model.clip_spec, batch_size=1)
    batch = next(iter(data.train_dataloader()))
    with torch.inference_mode():
        assert model.eval()(batch["clip"]).shape == (1, 2)


def test_mixed_batches():
    spec = ClipSpec(frames=4, size=16, resize=16)
    pixels = torch.randint(256, (3, 4, 3, 16, 16), dtype=torch.uint8)
    batch = {"clip": normalise(pixels, spec), "label": torch.tensor([0, 2, 2]), "index": torch.arange(3)}
    assert torch.equal(denormalise(batch["clip"], spec), pixels)
    mixed = BatchMixing(mixup=1.0)(batch, spec, 3, seed=1)
    share = mixed["label"][0, 0]
    assert 0 < share < 1
    assert torch.allclose(mixed["label"].sum(dim=1), torch.ones(3))
    expected = share * batch["clip"][0] + (1 - share) * batch["clip"][2]
    assert torch.allclose(mixed["clip"][0], expected, atol=1e-5)
    assert torch.equal(mixed["clip"], BatchMixing(mixup=1.0)(batch, spec, 3, seed=1)["clip"])
    cut = BatchMixing(cutmix=1.0)(batch, spec, 3, seed=2)
    own = (cut["clip"][0] == batch["clip"][0]).all(dim=(0, 1))
    assert own.float().mean().item() == pytest.approx(cut["label"][0, 0].item(), abs=1e-6), "the area is the share"
    loss = create_model("tsm_resnet10_tiny", 3).loss(torch.zeros(3, 3), mixed["label"])
    assert loss.item() == pytest.approx(torch.log(torch.tensor(3.0)).item())


def test_randaugment_draws_once_for_all_frames_of_a_clip():
    spec = ClipSpec(frames=6, size=16, resize=16, channel_order="bgr", value_range=255, mean=(104.0, 117.0, 128.0))
    still = torch.randint(256, (4, 1, 3, 16, 16), dtype=torch.uint8).expand(-1, 6, -1, -1, -1)
    batch = {"clip": normalise(still, spec), "label": torch.zeros(4, dtype=torch.int64)}
    changed = [BatchMixing(randaugment=20)(batch, spec, 2, seed)["clip"] for seed in range(4)]
    assert all(torch.equal(clip[:, :1].expand_as(clip), clip) for clip in changed)
    assert any(not torch.equal(clip, batch["clip"]) for clip in changed)
    with pytest.raises(SettingError, match="randaugment of flow"):
        BatchMixing(randaugment=9)({"clip": torch.zeros(1, 2, 2, 8, 8), "label": torch.zeros(1)}, FLOW, 2, 0)


def test_training_batches_alone_are_mixed(folder):
    model = create_model("tsm_resnet10_tiny", 2)
    labels = {"train": [], "val": []}
    loss = model.loss

    def noted(scores, label):
        labels["train" if model.training else "val"].append(label)
        return loss(scores, label)

    model.loss = noted
    spec = ClipSpec(frames=4, size=32, resize=36)
    data = VideoFolder(folder, clip_spec=spec, batch_size=2, mixing=BatchMixing(mixup=0.4, cutmix=1.0))
    new_trainer(max_epochs=1).fit(model, data)
    assert [label.shape for label in labels["train"]] == [(2, 2)]
    assert [label.shape for label in labels["val"]] == [(2,)]
    assert model.labels == ("jump", "run"), "class names go from the data to the model, and into its checkpoints"
