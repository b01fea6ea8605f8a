"""Serve the demo on this machine: upload a video or record one, choose a model, see the answer and what it sees.

Works without a network once the packages are there (`pip install 'videozoo[demo]'`).
"""

import argparse
import os
from importlib.util import find_spec

from videozoo.errors import SettingError

HOST = "127.0.0.1"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `videozoo serve`."""
    parser.add_argument(
        "--model", action="append", help="offer this checkpoint (several times: these; default: all that are released)"
    )
    parser.add_argument("--port", type=int, default=7860)
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:1, mps")


def run(arguments: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    if not 1 <= arguments.port <= 65535:
        raise SettingError(f"--port {arguments.port}: must be from 1 to 65535")
    if find_spec("gradio") is None:
        raise SettingError("the demo needs Gradio: pip install 'videozoo[demo]'")

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # Gradio reads it where it is imported

    from videozoo.cli.demo_app import demo_app, launch, offered

    app = demo_app(arguments.model or offered(), device=arguments.device)
    try:
        launch(app, server_name=HOST, server_port=arguments.port, quiet=True, prevent_thread_lock=True)
    except OSError as error:
        raise SettingError(f"--port {arguments.port}: cannot be had, another program may use it") from error
    print(f"demo: {app.local_url} until Ctrl-C", flush=True)
    app.block_thread()
    return 0
