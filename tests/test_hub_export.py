"""Exported networks answer as they did, for any batch; what cannot be exported is named."""

from importlib.util import find_spec

import pytest
import torch
from torch import nn

from videozoo import create_model
from videozoo.cli import main
from videozoo.errors import SettingError
from videozoo.hub import export
from videozoo.hub.export import ExportError, export_model

needs_onnx = pytest.mark.skipif(
    find_spec("onnxscript") is None or find_spec("onnxruntime") is None, reason="needs the extra export"
)


@pytest.mark.parametrize("arch", ["tsm_resnet10_tiny", pytest.param("x3d_tiny", marks=pytest.mark.slow)])
def test_torch_export_for_any_batch(arch, tmp_path):
    model = create_model(arch, 3).eval()
    assert export_model(model, tmp_path / "network.pt2") < 1e-5
    network = torch.export.load(tmp_path / "network.pt2").module()
    clip = torch.randn(5, model.clip_spec.frames, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(network(clip), model(clip), rtol=1e-4, atol=1e-5)


@needs_onnx
@pytest.mark.slow
@pytest.mark.parametrize("arch", ["tsm_resnet10_tiny", "x3d_tiny"])
def test_onnx_for_any_batch(arch, tmp_path, capsys):
    assert main(["export", arch, "--format", "onnx", "--out", str(tmp_path / "network.onnx")]) == 0
    assert "scores within" in capsys.readouterr().out


@needs_onnx
@pytest.mark.slow
def test_an_operator_that_onnx_does_not_have_is_named(tmp_path):
    with pytest.raises(ExportError, match=r"cannot be exported: ONNX has no operator for .*linalg_solve"):
        export_model(create_model("tesnet_tsm_resnet10_tiny", 3).eval(), tmp_path / "network.onnx", "onnx")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["bn_inception", "tsm_mobilenet_v2"])
def test_other_families_can_be_exported(arch, tmp_path):
    assert export_model(create_model(arch, 3).eval(), tmp_path / "network.pt2") < 1e-4


class DependsOnValues(nn.Module):
    def forward(self, scores):
        return scores * 2 if scores.sum() > 0 else scores


def test_what_cannot_be_exported_is_named_with_the_reason(tmp_path):
    model = create_model("tsm_resnet10_tiny", 3).eval()
    model.network.append(nn.Sequential(nn.Identity(), DependsOnValues()))
    with pytest.raises(ExportError, match=r"torch-export: network\.2\.1 \(DependsOnValues\) cannot be exported: \S"):
        export_model(model, tmp_path / "network.pt2")
    assert not (tmp_path / "network.pt2").exists()
    with pytest.raises(SettingError, match="allowed are torch-export, onnx"):
        export_model(model, tmp_path / "network.x", "tflite")


def test_a_file_that_answers_differently_is_thrown_away(tmp_path, monkeypatch):
    model = create_model("tsm_resnet10_tiny", 3).eval()

    def write(network, clips, path):
        path.write_bytes(b"")
        return lambda batch: network(batch) * 1.01

    monkeypatch.setitem(export._WRITERS, "torch-export", write)
    with pytest.raises(ExportError, match="differ by"):
        export_model(model, tmp_path / "network.pt2")
    assert not (tmp_path / "network.pt2").exists()
