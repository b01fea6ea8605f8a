"""The LICENSE file that goes beside published weights."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from videozoo.hub.schema import Checkpoint

MIT = """Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def licence_text(row: Checkpoint) -> str:
    """What the row says of its licence, and the licence itself where its text is at hand."""
    licence = row.licence
    lines = [f"Weights: {row.name}", f"Licence: {licence.weights}"]
    lines += [f"{name}: {value}" for name, value in (
        ("Copyright", licence.attribution or row.origin.author),
        ("Source", licence.source),
        ("Data", licence.data_terms),
    ) if value]  # fmt: skip
    if not licence.stated_for_weights:
        lines.append("The source states this licence for its code; it says nothing of the weights apart from that.")
    text = {"Apache-2.0": _apache(), "MIT": MIT}.get(licence.weights, "")
    return "\n".join(lines) + "\n" + (f"\n{text}" if text else "")


def _apache() -> str:
    """This package's own licence: beside the code in a checkout, in the metadata of an installed package."""
    candidates = [Path(__file__).parents[2] / "LICENSE"]
    with suppress(PackageNotFoundError):
        candidates += [Path(str(file.locate())) for file in files("videozoo") or [] if file.name == "LICENSE"]
    found = next((path for path in candidates if path.is_file()), None)
    return found.read_text(encoding="utf-8") if found else ""
