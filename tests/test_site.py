"""The documentation as a site: it builds without a warning, no link is broken, and nothing is loaded from elsewhere."""

import os
import re
import runpy
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

pytest.importorskip("mkdocs", reason='the site needs the extra: pip install "lungmask-cli[docs]"')
pytest.importorskip("material", reason='the site needs the extra: pip install "lungmask-cli[docs]"')
pytest.importorskip("mkdocstrings", reason='the site needs the extra: pip install "lungmask-cli[docs]"')

ROOT = Path(__file__).parent.parent
LOADED = {"script": "src", "img": "src", "iframe": "src", "link": "href"}


class Parsed(HTMLParser):
    """What a page links to, what it loads, and what can be linked to in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.anchors |= {told[name] for name in ("id", "name") if told.get(name)}
        if tag == "a" and told.get("href"):
            self.links.append(told["href"])
        if told.get(LOADED.get(tag, "")):
            self.loaded.append(told[LOADED[tag]])


@pytest.fixture(scope="session")
def site(tmp_path_factory) -> Path:
    """The site, built strictly."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def pages(site) -> dict[Path, Parsed]:
    return {path: Parsed(path) for path in sorted(site.rglob("*.html"))}


def test_every_link_leads_to_a_file_and_a_place_in_it(site, pages):
    broken = []
    for path, page in pages.items():
        if path.name == "404.html":  # whose links are absolute, for it is shown anywhere
            continue
        for link in page.links + page.loaded:
            place, _, anchor = unquote(link).partition("#")
            if re.match(r"\w+:", place):
                continue
            target = (path.parent / place).resolve() if place else path
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].anchors | {""} if target in pages else {"", anchor}
            if not target.is_file() or anchor not in known:
                broken.append(f"{path.relative_to(site)}: {link}")
    assert not broken


def test_nothing_is_loaded_from_elsewhere(site, pages):
    assert not [link for page in pages.values() for link in page.loaded if re.match(r"(\w+:)?//", link)]
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"url\(\"?(?:https?:)?//[^)]*|@import[^;]*", styles)


def test_what_is_linked_to_outside_the_docs_is_in_the_site(site, pages):
    results = pages[site / "explanation" / "results.html"].links
    assert {"../benchmarks/index.html", "../weights/general.html"} <= set(results)
    assert "../benchmarks/table1/index.html" in pages[site / "explanation" / "table-1.html"].links
    assert "../explanation/recipe.html" in pages[site / "weights" / "general.html"].links
    assert (site / "weights" / "general.json").is_file()
    assert "table1/index.html" in pages[site / "benchmarks" / "index.html"].links
    assert "paper-256.csv" in pages[site / "benchmarks" / "table1" / "index.html"].links


def test_the_python_reference_is_made_of_the_docstrings(pages, site):
    anchors = pages[site / "reference" / "python.html"].anchors
    assert {"lungmask_cli.inference.segmenter.Segmenter.segment", "lungmask_cli.errors.LungmaskError"} <= anchors


@pytest.mark.parametrize(
    ("page", "link", "turned"),
    [
        ("explanation/results.md", "../../weights/tiny.md", "../weights/tiny.md"),
        ("explanation/recipe.md", "../../benchmarks/recipe", "../benchmarks/recipe/index.md"),
        ("weights/tiny.md", "../docs/explanation/results.md", "../explanation/results.md"),
        ("CONTRIBUTING.md", "docs/explanation/architecture.md", "explanation/architecture.md"),
        ("how-to/score.md", "../images/gallery.png", "../images/gallery.png"),
        ("how-to/score.md", "nowhere.md", "nowhere.md"),
    ],
)
def test_links_are_turned_towards_the_site(page, link, turned):
    known = {
        "weights/tiny.md",
        "benchmarks/recipe/index.md",
        "explanation/results.md",
        "explanation/architecture.md",
        "images/gallery.png",
    }
    assert runpy.run_path(str(ROOT / "docs" / "outside.py"))["in_site"](link, page, known) == turned
