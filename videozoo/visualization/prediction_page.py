"""One HTML page, without any other file, that shows videos beside the answers to them."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from PIL import Image

from videozoo.visualization.images import data_url

STYLE = """
:root { color-scheme: light dark; --line: #8884; --bar: #4a7fd6; --right: #2e9e5b; --wrong: #cf4b3f; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin-bottom: 0; overflow-wrap: anywhere; }
article { border-top: 1px solid var(--line); padding: 1rem 0; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
img { display: block; max-width: 100%; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(17rem, 1fr)); gap: 1rem; margin-top: .75rem; }
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; opacity: .75; }
td { padding: .1rem .4rem .1rem 0; white-space: nowrap; }
td.meter { width: 55%; }
.bar { background: var(--bar); height: .7rem; border-radius: 2px; min-width: 1px; }
.right .bar { background: var(--right); } .wrong .bar { background: var(--wrong); }
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Answer:
    """What one model said: ``top`` is (label, probability), best first."""

    model: str
    top: Sequence[tuple[str, float]]
    milliseconds: float | None = None


@dataclass(frozen=True)
class Shown:
    """One video on the page: its name, its true label (None: unknown), a picture of its frames, the answers."""

    name: str
    truth: str | None
    picture: Image.Image
    answers: Sequence[Answer]


def prediction_page(title: str, introduction: str, videos: Sequence[Shown]) -> str:
    """The page as text."""
    return page(title, introduction, "\n".join(article(video) for video in videos))


def page(title: str, introduction: str, body: str, *, style: str = "", policy: str = POLICY) -> str:
    """A whole page around a body of HTML; ``style`` is added to what all pages share.

    ``policy`` tells the browser what the page may load: pictures within it, and nothing from elsewhere.
    """
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{STYLE}{style}</style></head>\n"
        f"<body><h1>{escape(title)}</h1><p>{escape(introduction)}</p>\n{body}\n</body></html>\n"
    )


def article(video: Shown) -> str:
    """One video: its frames, and a table of every answer."""
    truth = f" &mdash; truth: <b>{escape(video.truth)}</b>" if video.truth is not None else ""
    answers = "".join(answer_table(answer, video.truth) for answer in video.answers)
    return (
        f"<article><h2>{escape(video.name)}{truth}</h2>"
        f'<img src="{data_url(video.picture)}" alt="frames of {escape(video.name)}">'
        f'<div class="answers">{answers}</div></article>'
    )


def answer_table(answer: Answer, truth: str | None = None) -> str:
    """What one model said, with a bar for every probability; the truth, where it is known, has a colour of its own."""
    rows = "".join(
        f'<tr class="{_verdict(label, place, truth)}"><td>{escape(label)}</td><td class="meter">'
        f'<div class="bar" style="width: {100 * probability:.1f}%"></div></td><td>{probability:.3f}</td></tr>'
        for place, (label, probability) in enumerate(answer.top)
    )
    time = "" if answer.milliseconds is None else f", {answer.milliseconds:.0f} ms"
    return f"<table><caption>{escape(answer.model)}{time}</caption><tbody>{rows}</tbody></table>"


def _verdict(label: str, place: int, truth: str | None) -> str:
    """How the row is coloured: the truth, a wrong first answer, or neither."""
    if truth is None or (label != truth and place > 0):
        return "other"
    return "right" if label == truth else "wrong"
