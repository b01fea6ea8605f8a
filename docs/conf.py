"""The site: `sphinx-build -j auto -W --keep-going docs docs/_build`. Building and reading it need no network."""

import sys
from pathlib import Path

import videozoo

sys.path.insert(0, str(Path(__file__).parent))  # where mathml and method_tables are

project = "videozoo"
author = "The videozoo authors"
release = version = videozoo.__version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.apidoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "mathml",
    "method_tables",
]

# One page a module, written below docs/api at every build.
apidoc_modules = [
    {
        "path": "../videozoo",
        "destination": "api",
        "separate_modules": True,
        "module_first": True,
        "automodule_options": {"members", "undoc-members", "show-inheritance"},
    }
]
autodoc_mock_imports = ["gradio"]  # of the extra `demo`, the one that a module needs to be imported
add_module_names = False  # the page's title says it
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False  # torch's and Lightning's own texts stay where they are
napoleon_numpy_docstring = False

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

html_theme = "furo"
html_title = f"videozoo {release}"
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
exclude_patterns = ["_build"]

# A reference to a name of ours that is gone is an error. Not looked up are other packages' names, and what stands in
# annotations without being a class: type variables, and the functions of checked types.
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"^(?!videozoo\.).*"), ("py:(class|obj)", r".*\.([A-Z]|[a-z_]\w*)$")]
suppress_warnings = ["ref.python"]  # a string in an annotation, such as a discriminator's, is no ambiguous name
