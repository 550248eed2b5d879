"""Our modules as syntax trees, parsed once for all tests that look at them."""

import ast
from functools import cache
from pathlib import Path


@cache
def tree_of_file(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of_file(path: Path) -> tuple[ast.AST, ...]:
    """All nodes of its tree, in the order of `ast.walk`."""
    return tuple(ast.walk(tree_of_file(path)))
