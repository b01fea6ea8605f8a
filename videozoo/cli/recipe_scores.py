"""Scores of a data set's test part as a table, so that the streams of a two-stream network can be fused."""

from pathlib import Path, PurePosixPath
from typing import Any

import pytorch_lightning as pl
import torch

from videozoo.data.datamodules.base import VideoDataModule
from videozoo.data.video_files import SUFFIXES
from videozoo.errors import SettingError
from videozoo.inference.fuse import ScoreTable, write_scores
from videozoo.training.recognizer import ActionRecognizer


def write_test_scores(
    trainer: pl.Trainer, model: ActionRecognizer, data: pl.LightningDataModule, path: str | Path
) -> None:
    """Write the scores of every test video, under a name that its frames and its stored flow share.

    Raises:
        SettingError: on several devices, each of which has a part of the videos, and for data without files.
    """
    if trainer.world_size > 1:
        raise SettingError(f"scores on {trainer.world_size} devices: --trainer.devices 1 has all the videos")
    if not isinstance(data, VideoDataModule):
        raise SettingError(f"scores of {type(data).__name__}: its videos are no files")
    batches: list[Any] = trainer.predict(model, datamodule=data) or []
    scores = torch.cat([batch["scores"] for batch in batches])
    listed = data.dataset("test").annotations
    files = [without_suffix(listed.relative(index)) for batch in batches for index in batch["index"].tolist()]
    write_scores(ScoreTable(tuple(files), tuple(model.labels), scores), path)


def without_suffix(name: str) -> str:
    """A video's path without the suffix of its file; other dots stay, since stored flow is a folder of that name."""
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES else name
