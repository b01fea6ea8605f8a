"""Data sets by name, with their settings, as the verbs take them on the command line."""

import argparse
from typing import TYPE_CHECKING

from videozoo.cli.settings import add_setting_option, parse_setting
from videozoo.errors import SettingError, UnknownNameError

if TYPE_CHECKING:
    from videozoo.clip_spec import ClipSpec
    from videozoo.data.datamodules.base import VideoDataModule

NAMES = "arid, breakfast, hmdb51, kinetics, something_something, thumos14, ucf101, video_folder"


def add_setting_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say which split, version or lists of a data set are meant."""
    parser.add_argument("--annotations", metavar="DIR", help="folder of the official lists, if elsewhere")
    add_setting_option(parser, "--set", "such as split=2 version=1")


def create_data(name: str, root: str, arguments: argparse.Namespace, spec: "ClipSpec") -> "VideoDataModule":
    """The data module that the arguments name.

    Raises:
        UnknownNameError: for a data set that is not known.
        SettingError: for a setting that it does not have.
    """
    from videozoo.data.datamodules import DATA_MODULES

    settings = dict(map(parse_setting, arguments.set))
    if arguments.annotations:
        settings["annotations_folder"] = arguments.annotations
    if name not in DATA_MODULES:
        raise UnknownNameError("data set", name, DATA_MODULES)
    try:
        return DATA_MODULES[name](root, clip_spec=spec, **settings)
    except TypeError as error:
        raise SettingError(f"{name}: {error}") from error
