"""The demo as a Gradio app: a video or a webcam's recording in, the answer and what the method sees out.

It loads nothing from elsewhere: fonts and scripts are Gradio's own files, its analytics and run history are off. Its
page can be a Space of the hub as it is.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videozoo import load_model
from videozoo.cli.about import about
from videozoo.data.reading import read_views
from videozoo.errors import SettingError, VideozooError
from videozoo.hub.manifest import embedded_models, read_manifest, select_rows
from videozoo.inference.predict import predict
from videozoo.training.recognizer import ActionRecognizer
from videozoo.visualization.method_views import method_views
from videozoo.visualization.report_page import view_figures

if TYPE_CHECKING:
    import gradio as gr

TITLE = "videozoo"
INTRODUCTION = "# videozoo\nEfficient CNN video models: choose one, give it a video, and see what it answers and why."
TOP = 5  # answers that are shown
MOST_BYTES = "200mb"  # of an upload
STYLE = """
.view { margin: 0 0 1.25rem; } .view img { max-width: 100%; border-radius: 4px; margin-top: .25rem; }
#card td, #card th { word-break: normal; overflow-wrap: normal; } #card td code { overflow-wrap: anywhere; }
"""


def offered() -> list[str]:
    """Released checkpoints that read videos, those first that come with this package."""
    rows = [row for row in select_rows(read_manifest(), status="released") if row.clip_spec.modality == "rgb"]
    return sorted((row.name for row in rows), key=lambda name: name not in embedded_models())


@dataclass(frozen=True)
class Loaded:
    """A model on the device that answers, and on the CPU, where pictures are drawn."""

    answers: ActionRecognizer
    draws: ActionRecognizer


def demo_app(names: Sequence[str], *, device: str = "cpu") -> "gr.Blocks":
    """The app, for launch to serve; the first name is chosen at the start.

    Raises:
        VideozooError: when the first model cannot be had.
    """
    import gradio as gr

    @lru_cache(maxsize=2)
    def loaded(name: str) -> Loaded:
        model = load_model(name, device=device)
        if model.clip_spec.modality != "rgb":
            raise SettingError(f"{name}: reads stored {model.clip_spec.modality}; the demo takes videos")
        return Loaded(model, model if device == "cpu" else copy.deepcopy(model).cpu())

    def look(video: str | None, name: str) -> tuple[Any, ...]:
        """What the button does: label chart, pictures, and a line in words."""
        if video is None:
            return None, "", "Upload a video or record one first."
        try:
            models = loaded(name)
            answer = predict(models.answers, video, topk=TOP)
            views = method_views(models.draws, read_views(video, models.draws.clip_spec)[:1])
        except VideozooError as error:
            return None, "", f"**This did not work.** {str(error).replace(video, Path(video).name)}"
        said = f"{name} took {answer.milliseconds:.0f} ms to read and answer {Path(video).name}."
        return dict(answer.top), view_figures(views), said

    def describe(name: str) -> str:
        """What is known of the model."""
        try:
            return about(loaded(name).draws, name)
        except VideozooError as error:
            return f"**This did not work.** {error}"

    loaded(names[0])  # a name that is none is told at the start
    with gr.Blocks(title=TITLE, analytics_enabled=False) as app:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column():
                video = gr.Video(
                    label="Video",
                    sources=["upload", "webcam"],
                    include_audio=True,  # to leave it out Gradio would need ffmpeg
                    webcam_options=gr.WebcamOptions(mirror=False),
                )
            with gr.Column():
                model = gr.Dropdown(list(names), value=names[0], label="Model", elem_id="model")
                button = gr.Button("Look", variant="primary", elem_id="look")
                status = gr.Markdown(elem_id="status")
                label = gr.Label(label="Answer", num_top_classes=TOP, elem_id="answer")
        with gr.Accordion("What the method sees"):
            pictures = gr.HTML(elem_id="views")
        with gr.Accordion("Cost, figures, licence"):
            card = gr.Markdown(describe(names[0]), elem_id="card")
        button.click(look, [video, model], [label, pictures, status])
        model.change(describe, [model], [card])
    return app


def launch(app: "gr.Blocks", **options: Any) -> None:
    """Serve the app; the options are those of Gradio's launch, of which ours share nothing and record nothing."""
    import gradio as gr

    theme = gr.themes.Soft()  # its fonts come with Gradio
    app.launch(
        css=STYLE, theme=theme, footer_links=[], max_file_size=MOST_BYTES, run_history=False, share=False, **options
    )
