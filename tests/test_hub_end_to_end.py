"""Publish to, and load from, a hub on this machine; and what happens when it is gone, changed or breaks off."""

import subprocess
import sys
from contextlib import suppress

import huggingface_hub
import pytest
import torch
from local_hub import LocalHub

from videozoo import create_model, list_models, load_model
from videozoo.cli import main
from videozoo.errors import CheckpointError, SettingError
from videozoo.hub import find, manifest
from videozoo.hub.cache import cache_root
from videozoo.hub.hub_client import AbsentError, OfflineError
from videozoo.hub.manifest import read_manifest, read_row
from videozoo.hub.package import save_model
from videozoo.hub.publish import publish_model

NAME = "x3d_tiny.moves"
REPO = "someone/x3d-tiny-moves"
LABELS = ("up", "down", "left", "right")


def facts(**more):
    return {
        "dataset": "moves",
        "origin": {"kind": "trained", "author": "tests", "base_model": "someone/older", "training_data": "moves"},
        "licence": {"weights": "Apache-2.0", "stated_for_weights": True, "redistribute": True},
        "results": [
            {
                "kind": "measured", "dataset": "moves", "split": "test", "top1": 50.0, "protocol": {},
                "command": "none", "date": "2024-01-02", "n": 4, "seed": 1, "commit": "abcdef0",
            },
            {
                "kind": "reported", "dataset": "moves", "split": "test", "top1": 60.0, "protocol": {"crops": 3},
                "by": "somebody", "source": "https://example.org",
            },
        ],
        "paper": {"title": "A paper", "url": "https://example.org/paper"},
    } | more  # fmt: skip


def new_model(seed):
    torch.manual_seed(seed)
    model = create_model("x3d_tiny", 4).eval()
    model.labels = LABELS
    return model


def scores(model):
    torch.manual_seed(1)
    with torch.inference_mode():
        return model(torch.randn(1, 4, 3, 64, 64))


@pytest.fixture(scope="module")
def local_hub():
    hub = LocalHub()
    yield hub
    hub.stop()


@pytest.fixture
def hub(local_hub, monkeypatch, tmp_path):
    """A running, empty hub that huggingface_hub speaks to, and a cache of its own."""
    local_hub.repositories.clear()
    local_hub.gets.clear()
    for name, value in (
        ("HF_ENDPOINT", local_hub.url),
        ("HF_TOKEN", "hf_of_nobody"),
        ("HF_HUB_DISABLE_XET", "1"),
        ("VIDEOZOO_CACHE", str(tmp_path / "cache")),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_XET", True)
    return local_hub


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    save_model(new_model(0), folder, name=NAME, **facts())
    return folder


def test_published_model_gives_the_same_scores_by_branch_tag_and_commit(hub, folder):
    expected = scores(load_model(folder))
    row = publish_model(folder, REPO)
    home = row.sources[0]
    assert (row.status, home.repo_id, home.tag) == ("released", REPO, "v1")
    files = hub.repositories[REPO].trees[home.revision]
    assert set(files) >= {"model.safetensors", "config.json", "labels.txt", "LICENSE", "README.md"}
    assert len(hub.repositories[REPO].trees) == 2  # the empty repository, and one commit

    for name in (REPO, f"{REPO}@v1", f"{REPO}@{home.revision}"):
        model = load_model(name)
        assert torch.equal(scores(model), expected)
        assert model.labels == LABELS
        assert model.checkpoint.name == NAME

    save_model(new_model(1), folder.parent / "second", name=NAME, **facts())
    again = publish_model(folder.parent / "second", REPO)
    assert again.sources[0].tag == "v2"
    assert torch.equal(scores(load_model(f"{REPO}@v1")), expected)
    assert not torch.equal(scores(load_model(REPO)), expected)


def test_card_keeps_reported_and_measured_figures_apart(hub, folder):
    home = publish_model(folder, REPO).sources[0]
    card = huggingface_hub.ModelCard(hub.repositories[REPO].trees[home.revision]["README.md"].decode())
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "videozoo"
    assert card.data.pipeline_tag == "video-classification"
    assert card.data.base_model == "someone/older"
    assert {(r.metric_name, r.metric_value) for r in card.data.eval_results} == {
        ("top-1 (measured)", 50.0), ("top-1 (reported)", 60.0),
    }  # fmt: skip
    reported, measured = card.text.split("Measured with videozoo:")
    assert "60.00" in reported
    assert "50.00" not in reported
    assert "50.00" in measured.split("##")[0]
    assert f'load_model("{REPO}@v1")' in card.text
    assert b"Apache License" in hub.repositories[REPO].trees[home.revision]["LICENSE"]


def test_dry_run_sends_nothing_and_says_what_it_would(hub, folder, capsys):
    assert main(["publish", str(folder), "--repo-id", REPO, "--dry-run"]) == 0
    assert hub.repositories == {}
    assert "- name: x3d_tiny.moves" in capsys.readouterr().out


def test_licence_that_forbids_redistribution_stays_private(hub, tmp_path):
    licence = {"weights": "unstated", "stated_for_weights": False, "redistribute": False}
    save_model(new_model(0), tmp_path / "closed", name=NAME, **facts(licence=licence))
    with pytest.raises(SettingError, match="does not allow to redistribute"):
        publish_model(tmp_path / "closed", REPO)
    publish_model(tmp_path / "closed", REPO, private=True)
    assert hub.repositories[REPO].private
    hub.repositories[REPO].private = False
    with pytest.raises(SettingError, match="exists and is public"):
        publish_model(tmp_path / "closed", REPO, private=True)


@pytest.mark.parametrize("repo_id", ["x", "a/b/c", "../b", "a/..", "a/b--c", "a b/c", ""])
def test_impossible_repository_names_are_refused(repo_id, folder):
    with pytest.raises(SettingError, match="repo-id"):
        publish_model(folder, repo_id, dry_run=True)


def test_cache_serves_when_the_hub_is_off_or_gone(hub, folder, monkeypatch):
    row = publish_model(folder, REPO)
    expected = scores(load_model(f"{REPO}@v1"))
    hub.gets.clear()
    assert torch.equal(scores(load_model(f"{REPO}@v1", local_files_only=True)), expected)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert torch.equal(scores(load_model(REPO, revision="v1")), expected)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody answers there
    assert torch.equal(scores(load_model(f"{REPO}@v1")), expected)
    assert torch.equal(scores(load_model(f"{REPO}@{row.sources[0].revision}")), expected)
    assert hub.gets == []
    with pytest.raises(
        OfflineError, match=r"someone/other@main, config\.json: not in the cache.*no download needed for"
    ):
        load_model("someone/other")


def test_what_is_not_there_is_said_in_a_line(hub, folder):
    publish_model(folder, REPO)
    for name, text in ((f"{REPO}@v9", "no such branch, tag or commit"), ("nobody/nothing", "no such repository")):
        with pytest.raises(AbsentError, match=text):
            load_model(name)
    hub.repositories["a/empty"] = type(hub.repositories[REPO])()
    hub.repositories["a/empty"].commit({"x": b""})
    with pytest.raises(AbsentError, match="no such file"):
        load_model("a/empty")
    hub.repositories["a/empty"].gated = True
    with pytest.raises(AbsentError, match="gated"):
        load_model("a/empty")


def test_tampered_weights_are_refused_with_both_hashes(hub, folder):
    home = publish_model(folder, REPO).sources[0]
    files = hub.repositories[REPO].trees[home.revision]
    known = read_row(folder / "config.json").file.sha256
    for damaged in (files["model.safetensors"][:-4], files["model.safetensors"][:-1] + b"\x7f"):
        hub.repositories[REPO].trees[home.revision] = files | {"model.safetensors": damaged}
        hub.repositories[REPO].commit(files | {"model.safetensors": damaged})
        with pytest.raises(CheckpointError, match=rf"sha256 [0-9a-f]{{64}} .*expected sha256 {known}"):
            load_model(REPO)


def test_interrupted_download_is_resumed(hub, folder, monkeypatch):
    publish_model(folder, REPO)
    monkeypatch.setattr(huggingface_hub.constants, "DOWNLOAD_CHUNK_SIZE", 1 << 16)  # what is written at a time
    size = (folder / "model.safetensors").stat().st_size
    hub.break_at["model.safetensors"] = size // 2
    with suppress(CheckpointError):  # huggingface_hub 2 goes on by itself
        load_model(REPO)
    load_model(REPO)
    starts = [start for path, start in hub.gets if path == "model.safetensors"]
    assert starts[0] == 0
    assert 0 < starts[-1] <= size // 2


@pytest.mark.slow
def test_two_processes_at_once_fetch_once(hub, folder, tmp_path):
    publish_model(folder, REPO)
    program = f"from videozoo import load_model; load_model({REPO + '@v1'!r}, cache_dir={str(tmp_path / 'both')!r})"
    processes = [subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.PIPE) for _ in range(2)]
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors.decode()
    assert [path for path, _ in hub.gets].count("model.safetensors") == 1


def test_a_row_of_the_manifest_is_fetched_from_its_repository(hub, folder, monkeypatch, capsys):
    row = publish_model(folder, REPO)
    known = read_manifest()
    known = known.model_copy(update={"checkpoints": (*known.checkpoints, row)})
    monkeypatch.setattr(manifest, "_own_manifest", lambda: known)
    monkeypatch.setattr(find, "packaged_labels", lambda name: folder / name)
    model = load_model(NAME)
    assert torch.equal(scores(model), scores(load_model(folder)))
    assert model.checkpoint == row
    assert [path for path, _ in hub.gets] == ["model.safetensors"]
    assert NAME in list_models(status="released")

    assert main(["cache", "verify"]) == 0
    assert f"hub {REPO}@{row.sources[0].revision}: ok" in capsys.readouterr().out
    kept = next((cache_root() / "hub").rglob("model.safetensors"))
    kept.resolve().write_bytes(b"x" * row.file.size)
    with pytest.raises(CheckpointError, match="not the expected file"):
        load_model(NAME)
    assert main(["cache", "verify"]) == 1
    assert main(["cache", "prune"]) == 0
    assert torch.equal(scores(load_model(NAME)), scores(model))


def test_cache_verbs_list_verify_and_prune(hub, folder, capsys):
    publish_model(folder, REPO)
    load_model(REPO)
    assert main(["cache", "list"]) == 0
    assert f"{REPO}@" in capsys.readouterr().out
    assert main(["cache", "verify"]) == 0
    assert "ok" in capsys.readouterr().out
    home = hub.repositories[REPO].branches["main"]
    assert main(["cache", "prune"]) == 0
    assert "removed" not in capsys.readouterr().out
    assert main(["cache", "prune", "--all"]) == 0
    assert f"removed hub {REPO}@{home}" in capsys.readouterr().out
    assert main(["cache", "list"]) == 0
    assert "0 entries" in capsys.readouterr().out
