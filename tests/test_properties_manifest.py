"""What the manifest promises for any row: it is read as it was written, and what is wrong is named in one line."""

import copy
import json
from dataclasses import replace

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from videozoo.clip_spec import ClipSpec, Views
from videozoo.errors import ManifestError
from videozoo.hub.manifest import read_manifest, read_row
from videozoo.hub.row_text import row_as_yaml
from videozoo.hub.schema import Checkpoint

WORDS = st.text("abcz09_", min_size=1, max_size=12)
TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30) | st.sampled_from(
    ["yes", "null", "~", "1e3", "2024-01-31", "0x1f", " a ", "- a", "a: b", "#", "'", '"', "\u2028", "\x85",
     "\x00", "\ufeff"]
)  # fmt: skip
PATHS = st.lists(WORDS.map(lambda word: word.lstrip("_") or "a"), min_size=1, max_size=3).map("/".join)
URLS = WORDS.map(lambda word: f"https://example.org/{word}")
HEX = st.text("0123456789abcdef", min_size=40, max_size=40)
SHA256 = st.text("0123456789abcdef", min_size=64, max_size=64)
SCALARS = st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
FIGURES = st.floats(0, 100)

VIEWS = st.builds(Views, clips=st.integers(1, 20), crops=st.sampled_from([1, 3, 10]))
SPECS = st.builds(
    lambda segments, length, size, more, **rest: ClipSpec(segments * length, size, size + more, **rest),
    segments=st.integers(1, 32),
    length=st.integers(1, 5),
    size=st.integers(1, 400),
    more=st.integers(0, 400),
    sampling=st.sampled_from(["uniform", "dense", "timed", "all"]),
    stride=st.integers(1, 100),
    fps=st.floats(0.01, 240),
    mean=st.tuples(*[st.floats(-300, 300)] * 3),
    std=st.tuples(*[st.floats(0.001, 300)] * 3),
    value_range=st.sampled_from([1, 255]),
    channel_order=st.sampled_from(["rgb", "bgr"]),
    modality=st.sampled_from(["rgb", "flow", "rgb_difference"]),
    antialias=st.booleans(),
    views=VIEWS,
)
SOURCES = st.one_of(
    st.fixed_dictionaries({"type": st.just("package"), "path": PATHS}),
    st.fixed_dictionaries(
        {"type": st.just("hub"), "repo_id": st.just("some.one/a-model"), "revision": HEX}, optional={"tag": TEXTS}
    ),
    st.fixed_dictionaries({"type": st.just("url"), "url": URLS}),
    st.fixed_dictionaries(
        {"type": st.just("upstream"), "url": URLS, "layout": WORDS}, optional={"sha256": SHA256, "size": st.just(7)}
    ),
)


@st.composite
def rows(draw):
    """A row that obeys the schema, in plain values."""
    arch, classes, spec = draw(WORDS), draw(st.integers(1, 10**6)), draw(SPECS)
    figures = {"dataset": draw(WORDS), "split": draw(TEXTS), "top1": draw(FIGURES), "protocol": spec.to_dict()["views"]}
    how = {"by": draw(TEXTS), "source": draw(URLS)}
    measured = {"command": draw(TEXTS), "date": "2024-02-29", "n": draw(st.integers(1, 10**6)), "commit": draw(HEX)}
    results = [{"kind": "reported"} | figures | how, {"kind": "measured"} | figures | measured]
    row = {
        "name": f"{arch}.{draw(WORDS)}",
        "status": "planned",
        "arch": arch,
        "method": draw(WORDS),
        "hyperparameters": draw(st.dictionaries(WORDS, SCALARS | st.lists(SCALARS, max_size=3), max_size=4))
        | {"num_classes": classes},
        "dataset": draw(WORDS),
        "clip_spec": spec.to_dict(),
        "files": [{"path": draw(PATHS) + ".safetensors", "sha256": draw(SHA256), "size": draw(st.integers(1, 10**9))}],
        "sources": draw(st.lists(SOURCES, max_size=3)),
        "origin": {"kind": draw(st.sampled_from(["converted", "trained"])), "author": draw(TEXTS), "note": draw(TEXTS)},
        "licence": {"weights": draw(TEXTS), "stated_for_weights": draw(st.booleans()), "redistribute": True},
        "labels": {"set": draw(WORDS), "num_classes": classes, "file": draw(PATHS), "sha256": draw(SHA256)},
        "cost": {"params": draw(st.integers(1, 10**12)), "gmacs": draw(st.floats(1e-3, 1e6)), "clip": [8, 32, 32]},
        "results": draw(st.permutations(results)),
        "paper": {"title": draw(TEXTS), "url": draw(URLS)},
    }
    return json.loads(json.dumps(row))  # no part is in two places


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("rows")


@settings(max_examples=30)
@given(row=rows())
def test_every_row_is_read_as_it_was_written(folder, row):
    """As YAML in a manifest, as the JSON of a folder, and by a YAML writer that knows nothing of rows."""
    expected = Checkpoint.model_validate_json(json.dumps(row))
    manifest, config = folder / "manifest.yaml", folder / "config.json"
    manifest.write_text("schema: 1\ncheckpoints:\n" + row_as_yaml(expected), encoding="utf-8")
    assert read_manifest(manifest).checkpoints == (expected,)
    manifest.write_text(yaml.safe_dump({"schema": 1, "checkpoints": [row]}), encoding="utf-8")
    assert read_manifest(manifest).checkpoints == (expected,)
    config.write_text(json.dumps(expected.to_dict()), encoding="utf-8")
    assert read_row(config) == expected
    assert (
        ClipSpec.from_dict(expected.to_dict()["clip_spec"] | {"mean": row["clip_spec"]["mean"]}) == expected.clip_spec
    )


def places(part, path=()):
    """Every place of a row: the keys and numbers that lead to it."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def container(row, place):
    for key in place[:-1]:
        row = row[key]
    return row


def refusal(path):
    """The line that refuses a manifest."""
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    text = str(caught.value)
    assert text.startswith(f"{path}, row 1 (")
    assert len(text.splitlines()) == 1
    return text


@settings(max_examples=30)
@given(row=rows(), data=st.data())
def test_a_wrong_type_is_refused_by_the_name_of_its_field(folder, row, data):
    """No field takes a dict of lists of dicts: the error leads to the place."""
    place = data.draw(st.sampled_from(list(places(row))))
    container(row, place)[place[-1]] = {"?": [{"?": []}]}
    path = folder / "wrong.yaml"
    path.write_text(yaml.safe_dump({"schema": 1, "checkpoints": [row]}), encoding="utf-8")
    told = refusal(path).split("field ", 1)[1].split(":")[0].split(".")
    steps = iter(told)
    assert all(str(key) in steps for key in place if key != "type"), f"{place} is not named by {told}"


@settings(max_examples=30)
@given(row=rows(), data=st.data())
def test_a_field_too_many_is_refused_by_its_name(folder, row, data):
    parts = [()] + [place for place in places(row) if isinstance(container(row, place)[place[-1]], dict)]
    place = data.draw(st.sampled_from([place for place in parts if place != ("hyperparameters",)]))
    container(row, (*place, "surprise"))["surprise"] = 1
    path = folder / "wrong.yaml"
    path.write_text(yaml.safe_dump({"schema": 1, "checkpoints": [row]}), encoding="utf-8")
    told = refusal(path)
    assert "surprise" in told
    assert all(str(key) in told for key in place)


VALUES = st.recursive(
    st.none() | SCALARS | st.floats() | st.integers() | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=30)
@given(row=rows(), data=st.data())
def test_any_change_gives_a_row_or_one_line(folder, row, data):
    """Replace or remove up to three places: never another exception, and what is a row still comes back as itself."""
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.sampled_from(list(places(row)) or [()]))
        if place and data.draw(st.booleans()):
            container(row, place)[place[-1]] = data.draw(VALUES)
        elif place:
            del container(row, place)[place[-1]]
    path = folder / "any.yaml"
    path.write_text(yaml.safe_dump({"schema": 1, "checkpoints": [row]}), encoding="utf-8")
    try:
        (found,) = read_manifest(path).checkpoints
    except ManifestError as error:
        told = str(error)
    else:
        path.write_text("schema: 1\ncheckpoints:\n" + row_as_yaml(found), encoding="utf-8")
        assert read_manifest(path).checkpoints == (found,)
        return
    assert told.startswith(str(path))
    assert len(told.splitlines()) == 1
    assert len(told) < 1000


@given(spec=SPECS, length=st.integers(1, 9))
def test_a_clip_spec_is_plain_data(spec, length):
    assert ClipSpec.from_dict(spec.to_dict()) == spec
    assert ClipSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec
    assert ClipSpec.from_dict(copy.deepcopy(spec.to_dict())) == replace(spec)
    snippets = spec.in_snippets(length)
    assert snippets.segments == spec.frames
    assert snippets.frames_per_segment == length
    flow = spec.of_flow()
    assert flow.of_flow() == flow
    assert (flow.frames, flow.size, flow.sampling) == (spec.frames, spec.size, spec.sampling)
