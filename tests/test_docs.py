"""Documentation: nothing public without a docstring, a page for every method, a citation file that is one."""

import ast
import re
import sys
from pathlib import Path

import pytest
import yaml

from videozoo.cli.recipe_files import list_recipes
from videozoo.hub.manifest import read_manifest
from videozoo.methods import METHODS

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in (DOCS / "methods").glob("*.md") if path.stem != "index")
# The class speaks for them; what is private (a name that starts with _) is not looked at.
EXEMPT = ("forward",)
MOST_BYTES = 150_000  # of a picture


def undocumented(path):
    """Public names of a module without a docstring; signatures of an overload are spoken for by its function."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    inside = [("", tree)]
    while inside:
        prefix, node = inside.pop()
        if ast.get_docstring(node) is None:
            yield f"{path.relative_to(ROOT)} {prefix or 'module'}"
        if isinstance(node, ast.Module | ast.ClassDef):
            inside += [
                (f"{prefix}.{child.name}".lstrip("."), child)
                for child in node.body
                if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
                and not child.name.startswith("_")
                and child.name not in EXEMPT
                and "overload" not in [ast.unparse(decorator) for decorator in child.decorator_list]
            ]


def test_every_public_name_has_a_docstring():
    modules = sorted((ROOT / "videozoo").rglob("*.py"))
    assert len(modules) > 200
    assert [name for path in modules for name in undocumented(path)] == []


def test_missing_docstrings_are_found(tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    module = tmp_path / "module.py"
    module.write_text('class A:\n    """A."""\n    def forward(self): ...\n    def b(self): ...\ndef _c(): ...\n')
    assert sorted(undocumented(module)) == ["module.py A.b", "module.py module"]


@pytest.fixture
def tables(monkeypatch):
    pytest.importorskip("sphinx", reason="needs the extra docs")
    monkeypatch.syspath_prepend(str(DOCS))
    import method_tables

    yield method_tables
    sys.modules.pop("method_tables")


def methods_of(path, directive):
    return [
        word for found in re.findall(rf"```{{{directive}}} (.+)", path.read_text("utf-8")) for word in found.split()
    ]


@pytest.mark.parametrize("directive", ["settings", "results"])
def test_every_method_has_its_tables_on_one_page(directive):
    assert sorted(name for path in PAGES for name in methods_of(path, directive)) == sorted(METHODS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_page_has_equations_code_and_a_small_picture_with_its_command(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("$$") >= 2
    assert text.count("$$") % 2 == 0
    for file, name in re.findall(r"```{literalinclude} \.\./\.\./(\S+)\n:pyobject: (\S+)", text):
        assert name.split(".")[-1] in (ROOT / file).read_text(encoding="utf-8")
    pictures = re.findall(r"!\[.+?\]\(\.\./(pictures/\S+?)\)", text)
    assert len(pictures) == (path.stem != "motion_baselines")  # no verb draws these two
    for picture in pictures:
        assert (DOCS / picture).stat().st_size < MOST_BYTES
        assert re.search(rf"`videozoo\sshow\s[^`]*\s{Path(picture).name}", text)
    listed = (DOCS / "methods" / "index.md").read_text(encoding="utf-8")
    assert f"({path.name})" in listed
    assert f"\n{path.stem}\n" in listed


def test_tables_hold_every_recipe_and_tell_reported_from_measured(tables):
    for path in PAGES:
        methods = methods_of(path, "results")
        recipes = tables.recipes_of(methods)
        settings, results = tables.settings(methods), tables.results(methods)
        for name in recipes:
            assert (f"| `{name}` |" in settings) == (":" not in name)
        for row in read_manifest().checkpoints:
            assert (f"| {row.name} |" in results) == (row.method in methods)
        reported = results.partition("**Measured** here")[0]
        assert "**Reported** by the authors" in reported
        assert "±" not in reported
    every = [name for path in PAGES for name in tables.recipes_of(methods_of(path, "results"))]
    assert sorted(every) == list_recipes()


def test_measured_rows_are_those_of_the_experiments(tables):
    assert "| [pbnet_digits](../results/pbnet_digits.md) | Full-3 |" in tables.results(["pbnet"])
    assert "[pbnet_digits]" not in tables.results(["datp"])


def test_citation_file_has_what_its_standard_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "type"} <= set(citation)
    assert len(citation["references"]) == 5
    for work in [citation, *citation["references"]]:
        assert work["title"]
        assert all(
            {"name"} <= set(author) or {"family-names", "given-names"} <= set(author) for author in work["authors"]
        )
    for work in citation["references"]:
        assert work["type"] in ("article", "conference-paper", "thesis")
        assert 2018 <= work["year"] <= 2022
        assert {"journal", "conference", "institution"} & set(work)
