"""Rules of the house that no linter has."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "lungmask_cli"
LONGEST = 60


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_function_is_longer_than_a_page(path):
    functions = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]
    lengths = {node.name: node.end_lineno - node.lineno + 1 for node in functions}
    assert {function: length for function, length in lengths.items() if length > LONGEST} == {}
