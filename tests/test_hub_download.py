"""Plain urls: resumed, hashed, fetched once, put in place whole or not at all."""

import hashlib
import shutil
import threading

import pytest
from local_hub import LocalHub

from videozoo.errors import CheckpointError
from videozoo.hub import download as module
from videozoo.hub.download import download
from videozoo.hub.hub_client import AbsentError, OfflineError
from videozoo.hub.partial import CHUNK, Expected

DATA = bytes(range(256)) * (3 * CHUNK // 256)
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture(scope="module")
def local_hub():
    hub = LocalHub()
    yield hub
    hub.stop()


@pytest.fixture
def hub(local_hub, monkeypatch):
    monkeypatch.setattr(module, "WAIT", 0.0)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    local_hub.gets.clear()
    local_hub.break_at.clear()
    local_hub.files.clear()
    local_hub.files["/w.pth"] = DATA
    return local_hub


def beside(target):
    return sorted(path.name for path in target.parent.iterdir() if path.suffix != ".lock")


def test_a_file_comes_once_and_whole(hub, tmp_path):
    target = tmp_path / "deep" / "w.pth"
    expected = Expected(SHA256, len(DATA), SHA256[:8])
    assert download(f"{hub.url}/w.pth", target, expected) == target
    assert target.read_bytes() == DATA
    assert beside(target) == ["w.pth"]
    download(f"{hub.url}/w.pth", target, expected)
    assert hub.gets == [("/w.pth", 0)]


def test_a_broken_connection_is_resumed_in_the_same_call(hub, tmp_path):
    hub.break_at["/w.pth"] = 2 * CHUNK
    download(f"{hub.url}/w.pth", tmp_path / "w.pth", Expected(SHA256))
    assert (tmp_path / "w.pth").read_bytes() == DATA
    assert hub.gets[0] == ("/w.pth", 0)
    assert 0 < hub.gets[1][1] <= 2 * CHUNK


def test_a_download_that_died_is_resumed_by_the_next_one(hub, tmp_path):
    target = tmp_path / "w.pth"
    target.with_name("w.pth.part").write_bytes(DATA[:CHUNK])
    target.with_name("w.pth.part.etag").write_text(f'"{SHA256}"')
    download(f"{hub.url}/w.pth", target, Expected(SHA256))
    assert target.read_bytes() == DATA
    assert hub.gets == [("/w.pth", CHUNK)]


def test_a_part_of_another_version_is_begun_anew(hub, tmp_path):
    target = tmp_path / "w.pth"
    target.with_name("w.pth.part").write_bytes(b"old" * CHUNK)
    target.with_name("w.pth.part.etag").write_text('"another"')
    download(f"{hub.url}/w.pth", target, Expected(SHA256))
    assert target.read_bytes() == DATA


def test_a_part_longer_than_the_file_is_begun_anew(hub, tmp_path):
    target = tmp_path / "w.pth"
    target.with_name("w.pth.part").write_bytes(DATA + b"more")
    target.with_name("w.pth.part.etag").write_text(f'"{SHA256}"')
    download(f"{hub.url}/w.pth", target, Expected(SHA256))
    assert target.read_bytes() == DATA


@pytest.mark.parametrize("expected", [Expected("0" * 64), Expected(prefix="deadbeef"), Expected(SHA256, 5)])
def test_another_file_than_expected_is_thrown_away(expected, hub, tmp_path):
    with pytest.raises(CheckpointError, match="expected"):
        download(f"{hub.url}/w.pth", tmp_path / "w.pth", expected)
    assert beside(tmp_path / "w.pth") == []


def test_both_hashes_are_told(hub, tmp_path):
    with pytest.raises(CheckpointError, match=rf"sha256 {SHA256} .*expected sha256 {'0' * 64}"):
        download(f"{hub.url}/w.pth", tmp_path / "w.pth", Expected("0" * 64))


def test_gone_out_of_reach_and_switched_off(hub, tmp_path, monkeypatch):
    target = tmp_path / "w.pth"
    with pytest.raises(AbsentError, match=r"gone \(HTTP 404\)"):
        download(f"{hub.url}/other.pth", target, Expected())
    with pytest.raises(OfflineError, match="out of reach"):
        download("http://127.0.0.1:9/w.pth", target, Expected())
    with pytest.raises(OfflineError, match="switched off"):
        download(f"{hub.url}/w.pth", target, Expected(), local_files_only=True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(OfflineError, match="switched off"):
        download(f"{hub.url}/w.pth", target, Expected())
    assert hub.gets == []


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://drive.google.com/file/d/1/view", "browsers only"),
        ("http://example.org/w.pth", "must be an https"),
        ("file:///etc/passwd", "must be an https"),
        ("https://user:secret@example.org/w.pth", "must be an https"),
        ("ftp://example.org/w.pth", "must be an https"),
    ],
)
def test_urls_that_are_not_fetched(url, text, tmp_path):
    with pytest.raises(CheckpointError, match=text):
        download(url, tmp_path / "w.pth", Expected())


def test_a_full_disk_is_told_before_it_is_full(hub, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 99, 1))
    with pytest.raises(CheckpointError, match=r"No space left on device: \d+ bytes needed, 1 free"):
        download(f"{hub.url}/w.pth", tmp_path / "w.pth", Expected())
    assert not (tmp_path / "w.pth").exists()


def test_several_at_once_fetch_once(hub, tmp_path):
    target = tmp_path / "w.pth"
    threads = [threading.Thread(target=download, args=(f"{hub.url}/w.pth", target, Expected(SHA256))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert target.read_bytes() == DATA
    assert hub.gets == [("/w.pth", 0)]
