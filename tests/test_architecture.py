"""The table of packages in docs/explanation/architecture.md, compared with the folders."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "lungmask_cli"
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text(encoding="utf-8")


def test_the_table_names_every_module_of_every_package():
    table = {}
    for folder, modules in re.findall(r"^\| (`[\w/]+/`|the top level) \|.*\| (`[^|]*`) \|$", PAGE, re.MULTILINE):
        path = PACKAGE / folder.strip("`") if folder.startswith("`") else PACKAGE
        table[path.relative_to(PACKAGE).as_posix()] = set(re.findall(r"`(\w+)`", modules))
    folders = {path.parent for path in PACKAGE.rglob("*.py")}
    modules = {
        folder.relative_to(PACKAGE).as_posix(): {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
        for folder in folders
    }
    assert table == modules


def test_no_folder_has_many_files():
    for folder in {path.parent for path in PACKAGE.rglob("*.py")}:
        assert len(list(folder.glob("*.py"))) <= 15, folder


def test_every_file_and_name_of_the_walks_exists():
    text = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    for name in re.findall(r"`(\w+/\w+\.py|files\.py|config\.py)`", PAGE):
        assert (PACKAGE / name).is_file() or (ROOT / name).is_file(), name
    for name in re.findall(r"`([a-z_]{6,}|[A-Z]\w+(?:\.\w+)?)` \(", PAGE):
        assert re.search(rf"\b(def|class) {name.split('.')[-1]}\b", text), name
