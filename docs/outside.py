"""A hook of MkDocs that takes into the site what the docs link to outside docs/, and turns the links towards it.

In the repository, links are relative to the file that they are in, which is how they work in a checkout and on a code
host. In the site, what is in docs/ lies beside what is taken in, as if both were one folder.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
DOCS = "docs/"
TAKEN_IN = ("CHANGELOG.md", "CONTRIBUTING.md", "benchmarks/README.md", "weights/*.md", "weights/*.json")
# Folders of data that pages link to; each becomes a page that lists its files.
LISTED = tuple(f"benchmarks/{name}" for name in ("adversary", "outward", "paper_best", "recipe", "table1"))
LINK = re.compile(r"\]\((?!\w+:|#|/)([^)#\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is outside docs/."""
    for place in taken_in():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / place)))
    for folder in LISTED:
        page, inclusion = f"{folder}/index.md", InclusionLevel.NOT_IN_NAV
        files.append(File.generated(config, page, content=listing(folder), inclusion=inclusion))
    return files


def on_page_markdown(markdown: str, page: Page, files: Files, **_: Any) -> str:
    """Turn the links of a page that lead out of docs/, or into it from outside."""
    known = set(files.src_uris)
    return LINK.sub(lambda found: f"]({in_site(found[1], page.file.src_uri, known)}", markdown)


def taken_in() -> Iterator[str]:
    """The files from outside docs/, relative to the repository."""
    patterns = (*TAKEN_IN, *(f"{folder}/*" for folder in LISTED))
    for place in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
        yield place.relative_to(ROOT).as_posix()


def listing(folder: str) -> str:
    """A page of the names of the folder's files."""
    names = sorted(path.name for path in (ROOT / folder).iterdir())
    return f"# {folder}\n\n" + "\n".join(f"- [{name}]({name})" for name in names) + "\n"


def in_site(target: str, page: str, known: set[str]) -> str:
    """The link `target` of `page`, as it must be in the site; unchanged if there is nothing of that name."""
    in_docs = not (ROOT / page).exists() or (ROOT / DOCS / page).exists()
    source = posixpath.join(DOCS, page) if in_docs else page
    place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target)).removeprefix(DOCS)
    for candidate in (place, f"{place}/index.md"):
        if candidate in known:
            return posixpath.relpath(candidate, posixpath.dirname(page))
    return target
