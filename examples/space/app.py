"""The demo as a Space of the hub: the same app as `videozoo serve`."""

from videozoo.cli.demo_app import demo_app, launch, offered

app = demo_app(offered())

if __name__ == "__main__":
    launch(app)
