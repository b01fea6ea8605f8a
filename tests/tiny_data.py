"""Tiny data sets laid out as the official ones are: a few short videos, lists of a line or two, stored flow."""

import json
import shutil

import numpy as np
from conftest import moving_square
from PIL import Image

FIELDS = 12  # of stored flow, and frames of a video stored as pictures


def lay(folder, videos, names):
    """Copies of the small videos under these names."""
    for place, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(videos[place % len(videos)], folder / name)


def lay_pictures(folder, names):
    """One folder of numbered pictures a name."""
    frames = moving_square(FIELDS, 40, 60)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number, frame in enumerate(frames, start=1):
            Image.fromarray(frame).save(folder / name / f"{number:05d}.jpg")


def lay_flow(folder, names):
    """Stored flow of each of these videos, as TSN's programs write it: one pixel to the right, everywhere."""
    for name in names:
        (folder / name).mkdir(parents=True)
        for axis, level in (("x", 134), ("y", 128)):
            for number in range(1, FIELDS + 1):
                picture = Image.fromarray(np.full((40, 60), level, np.uint8))
                picture.save(folder / name / f"flow_{axis}_{number:05d}.jpg")


def ucf101(folder, videos):
    classes = ["ApplyEyeMakeup", "ApplyLipstick"]
    names = [f"{name}/v_{name}_g0{i}_c01" for name in classes for i in (1, 2)]
    lay(folder / "UCF-101", videos, [f"{name}.avi" for name in names])
    lay_flow(folder / "flow", names)
    lists = folder / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(classes, start=1)))
    (lists / "trainlist01.txt").write_text("".join(f"{name}.avi {1 + i // 2}\n" for i, name in enumerate(names)))
    (lists / "testlist01.txt").write_text("".join(f"{name}.avi\n" for name in names[1:3]))


def hmdb51(folder, videos):
    names = [f"{name}/{name} #1 ({i})" for name in ("brush_hair", "cartwheel") for i in (1, 2)]
    lay(folder / "hmdb51_org", videos, [f"{name}.avi" for name in names])
    lay_flow(folder / "flow", names)
    lists = folder / "testTrainMulti_7030_splits"
    lists.mkdir()
    for name in ("brush_hair", "cartwheel"):
        (lists / f"{name}_test_split1.txt").write_text(f"{name} #1 (1).avi 1 \n{name} #1 (2).avi 2 \n")


def kinetics(folder, videos):
    classes = ("abseiling", "zumba")
    names = [f"{part}/{name}/{name}{part}_000001_000011" for part in ("train", "val") for name in classes]
    lay(folder, videos, [f"{name}.mp4" for name in names])
    lay_flow(folder / "flow", names)
    head = "label,youtube_id,time_start,time_end,split\n"
    for file, part in (("train", "train"), ("validate", "val")):
        rows = "".join(f"{name},{name}{part},1,11,{part}\n" for name in classes)
        (folder / f"{file}.csv").write_text(head + rows)
    (folder / "train_ytid_list.txt").write_text("abseilingtrain\nzumbatrain\n")
    (folder / "val_ytid_list.txt").write_text("abseilingval\nzumbaval\n")


def ssv1(folder, videos):
    classes = ["Holding something", "Pulling something from left to right"]
    lay_pictures(folder / "20bn-something-something-v1", ["1", "2"])
    lay_flow(folder / "flow", ["1", "2"])
    (folder / "something-something-v1-labels.csv").write_text("\n".join(classes) + "\n")
    for part in ("train", "validation"):
        rows = "".join(f"{i};{name}\n" for i, name in enumerate(classes, start=1))
        (folder / f"something-something-v1-{part}.csv").write_text(rows)


def ssv2(folder, videos):
    classes = ["Holding something", "Pulling something from left to right"]
    lay(folder / "20bn-something-something-v2", videos, ["1.webm", "2.webm"])
    (folder / "labels.json").write_text(json.dumps({name: str(i) for i, name in enumerate(classes)}))
    entries = [
        {"id": str(i), "template": name.replace("something", "[something]")} for i, name in enumerate(classes, start=1)
    ]
    for part in ("train", "validation"):
        (folder / f"something-something-v2-{part}.json").write_text(json.dumps(entries))


def breakfast(folder, videos):
    names = ["P03_tea", "P04_milk", "P16_tea", "P17_milk"]
    lay(folder / "BreakfastII_15fps_qvga_sync", videos, [f"{name[:3]}/cam01/{name}.avi" for name in names])


def thumos14(folder, videos):
    (folder / "classInd.txt").write_text("".join(f"{i} Class{i}\n" for i in range(1, 102)))
    for part in ("validation", "test"):
        names = [f"video_{part}_000000{i}" for i in (1, 2)]
        lay(folder / part, videos, [f"{name}.mp4" for name in names])
        lay_flow(folder / "flow" / part, names)
        (folder / f"{part}_primaryclass.txt").write_text("".join(f"{name} {i + 1}\n" for i, name in enumerate(names)))
        (folder / f"{part}_secondaryclass.txt").write_text(f"{names[0]} 3\n")


LAYOUTS = {
    "breakfast": breakfast,
    "hmdb51": hmdb51,
    "kinetics": kinetics,
    "ssv1": ssv1,
    "ssv2": ssv2,
    "thumos14": thumos14,
    "ucf101": ucf101,
}
