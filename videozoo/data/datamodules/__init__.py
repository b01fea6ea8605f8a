"""The data sets of the papers and any folder of videos, as LightningDataModules."""

from videozoo.data.datamodules.arid import ARID
from videozoo.data.datamodules.base import VideoDataModule
from videozoo.data.datamodules.breakfast import Breakfast
from videozoo.data.datamodules.hmdb51 import HMDB51
from videozoo.data.datamodules.kinetics import Kinetics
from videozoo.data.datamodules.moving_digits import MovingDigits as MovingDigits
from videozoo.data.datamodules.shards import Shards as Shards
from videozoo.data.datamodules.something_something import SomethingSomething
from videozoo.data.datamodules.thumos14 import THUMOS14
from videozoo.data.datamodules.ucf101 import UCF101
from videozoo.data.datamodules.video_folder import VideoFolder

DATA_MODULES: dict[str, type[VideoDataModule]] = {
    "arid": ARID,
    "breakfast": Breakfast,
    "hmdb51": HMDB51,
    "kinetics": Kinetics,
    "something_something": SomethingSomething,
    "thumos14": THUMOS14,
    "ucf101": UCF101,
    "video_folder": VideoFolder,
}
