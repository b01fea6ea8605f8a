"""What lists of videos promise: what was written is read again, and any text gives a list or one line."""

import csv
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videozoo.data.annotation_lists import read_lists
from videozoo.errors import AnnotationError

# A cell is read without the blanks around it; the first line of a list is a header where it says path and label.
CELLS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"]), min_size=1, max_size=12).filter(
    lambda text: text == text.strip() and text.strip().lower() not in ("path", "label", "start", "end")
)
SPANS = st.tuples(st.floats(0, 1e6), st.floats(0, 1e6) | st.just(math.inf)).filter(lambda span: span[0] < span[1])
DELIMITERS = {".csv": ",", ".tsv": "\t", ".txt": " "}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("lists")


@settings(max_examples=60)
@given(
    lines=st.lists(st.tuples(CELLS, CELLS, SPANS), min_size=1, max_size=8),
    suffix=st.sampled_from(sorted(DELIMITERS)),
    spans=st.booleans(),
    order=st.permutations(["path", "label", "start", "end"]) | st.none(),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_a_list_is_read_as_it_was_written(folder, lines, suffix, spans, order, end):
    path = folder / f"list{suffix}"
    columns = [name for name in order or ("path", "label", "start", "end") if spans or name in ("path", "label")]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=DELIMITERS[suffix], lineterminator=end)
        if order:
            writer.writerow(columns)
        for video, label, (start, stop) in lines:
            cells = {"path": video, "label": label, "start": start, "end": stop}
            if stop == math.inf and suffix != ".txt":  # cells between blanks cannot be empty
                cells["end"] = ""
            writer.writerow([cells[name] for name in columns])
    (found,) = read_lists([path], folder, None)
    assert list(found.paths()) == [video for video, _, _ in lines]
    assert list(found.classes) == sorted({label for _, label, _ in lines})
    assert [found.classes[number] for number in found.labels.tolist()] == [label for _, label, _ in lines]
    for index, (_, _, span) in enumerate(lines):
        assert (found.span(index) or (0.0, math.inf)) == (span if spans else (0.0, math.inf))
    numbered = read_lists([path], folder, tuple(reversed(found.classes)))[0]
    assert numbered.labels.tolist() == [len(found.classes) - 1 - number for number in found.labels.tolist()] or any(
        label.isdigit()
        for label in found.classes  # a class's number comes before a class of that name
    )


@given(
    text=st.binary(max_size=200) | st.text("path,label end0.5-\n\t\"'\\ein", max_size=120).map(str.encode),
    suffix=st.sampled_from(sorted(DELIMITERS)),
    known=st.booleans(),
)
def test_any_text_is_a_list_or_one_line(folder, text, suffix, known):
    path = folder / f"any{suffix}"
    path.write_bytes(text)
    try:
        (found,) = read_lists([path], folder, ("a", "b") if known else None)
    except AnnotationError as error:
        told = str(error)
    else:
        assert len(list(found.paths())) == len(found) == len(found.labels)
        return
    assert told.startswith(str(path))
    assert len(told.splitlines()) == 1


@given(paths=st.lists(CELLS, min_size=1, max_size=9), data=st.data())
def test_a_selection_is_those_lines_in_that_order(folder, paths, data):
    path = folder / "all.tsv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter="\t").writerows((video, str(place)) for place, video in enumerate(paths))
    (found,) = read_lists([path], folder, None)
    chosen = data.draw(st.lists(st.integers(0, len(paths) - 1), max_size=12))
    selected = found.select(chosen)
    assert list(selected.paths()) == [paths[index] for index in chosen]
    assert torch.equal(selected.labels, found.labels[chosen])
    assert [selected.relative(place) for place in range(len(chosen))] == [paths[index] for index in chosen]
