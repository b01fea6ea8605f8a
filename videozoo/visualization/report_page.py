"""One HTML page, without any other file, about a model on a few videos: clip, answer over time, what the method sees.

The page may load nothing from elsewhere, and says so to the browser (its content security policy).
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from videozoo.visualization.images import data_url
from videozoo.visualization.line_chart import CHART_STYLE, Chart, line_chart
from videozoo.visualization.method_views import MethodView
from videozoo.visualization.prediction_page import POLICY, Answer, answer_table, page
from videozoo.visualization.small_clip import SmallClip

CHART_WIDTH = 640  # pixels
POLICY_OF_PLAYER = f"{POLICY}; media-src data:; script-src 'unsafe-inline'"
STYLE = """
.clip { display: grid; grid-template-columns: minmax(12rem, 19rem) 1fr; gap: 1.25rem; align-items: start; }
@media (max-width: 40rem) { .clip { grid-template-columns: 1fr; } }
video { width: 100%; background: #000; border-radius: 4px; }
.clip p, figcaption { margin: .25rem 0; font-size: .85rem; opacity: .8; }
.chart { margin: 1rem 0 0; } .chart svg { cursor: crosshair; }
.cursor { stroke: currentColor; stroke-dasharray: 3 3; pointer-events: none; }
.view { margin: 1rem 0; } .view figcaption { opacity: 1; } .view img { border-radius: 4px; }
section { border-top: 1px solid var(--line); margin-top: 1rem; padding-top: 1rem; overflow-wrap: break-word; }
section h2 { margin-top: 1rem; } section table { display: block; overflow-x: auto; width: auto; font-size: .85rem; }
section a { color: inherit; }
section td code { overflow-wrap: anywhere; }
section td, section th { white-space: normal; text-align: left; vertical-align: top; padding: .1rem .9rem .1rem 0; }
section pre { overflow-x: auto; background: var(--line); padding: .5rem .75rem; border-radius: 4px; }
"""
# A line in the chart moves with the clip, and a click in the chart moves the clip.
SCRIPT = """
for (const article of document.querySelectorAll("article")) {
  const video = article.querySelector("video"), chart = article.querySelector(".chart svg");
  const { first, last, left, right } = chart.dataset, span = last - first, width = right - left;
  const cursor = document.createElementNS(chart.namespaceURI, "line");
  cursor.setAttribute("class", "cursor");
  cursor.setAttribute("y1", 0);
  cursor.setAttribute("y2", chart.viewBox.baseVal.height);
  chart.append(cursor);
  const move = () => {
    const x = +left + width * (span > 0 ? (video.currentTime - first) / span : 0.5);
    for (const side of ["x1", "x2"]) cursor.setAttribute(side, x);
    requestAnimationFrame(move);
  };
  move();
  chart.addEventListener("click", (event) => {
    const box = chart.getBoundingClientRect(), scale = chart.viewBox.baseVal.width / box.width;
    const place = ((event.clientX - box.left) * scale - left) / width;
    video.currentTime = Math.min(video.duration, Math.max(0, +first + place * span));
  });
}
"""


@dataclass(frozen=True)
class ReportedVideo:
    """One video on the page: its clip, the answer to all of it, the answers over time, what the method sees."""

    name: str
    clip: SmallClip
    answer: Answer
    chart: Chart
    views: Sequence[MethodView]


def report_page(title: str, introduction: str, videos: Sequence[ReportedVideo], about: str) -> str:
    """The page as text; ``about`` is HTML about the model: cost, figures, provenance."""
    articles = "\n".join(_article(video) for video in videos)
    body = f"{articles}\n<section>{about}</section>\n<script>{SCRIPT}</script>"
    return page(title, introduction, body, style=CHART_STYLE + STYLE, policy=POLICY_OF_PLAYER)


def view_figures(views: Sequence[MethodView]) -> str:
    """Pictures of what a method sees, each below its title and explanation, as HTML."""
    return "".join(
        f'<figure class="view"><figcaption><b>{escape(view.title)}.</b> {escape(view.explanation)}</figcaption>'
        f'<img src="{data_url(view.picture)}" alt="{escape(view.title)}"></figure>'
        for view in views
    )


def _article(video: ReportedVideo) -> str:
    clip = video.clip
    part = "" if clip.shown > clip.seconds - 1 else f"; the first {clip.shown:.0f} s are shown"
    source = "data:video/mp4;base64," + base64.b64encode(clip.mp4).decode()
    answer = answer_table(video.answer) + line_chart(video.chart, width=CHART_WIDTH)
    return (
        f'<article><h2>{escape(video.name)}</h2><div class="clip"><div><video controls loop muted autoplay playsinline '
        f'src="{source}"></video><p>{clip.seconds:.1f} s{part}</p></div><div class="answer">'
        f"{answer}</div></div>{view_figures(video.views)}</article>"
    )
