"""What the source says and a running object does not: docstrings of fields, and signatures as they were written."""

import ast
import sys
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _module_of(thing: Any) -> ModuleType:
    return sys.modules[thing.__module__]


def node_of(thing: Any) -> ast.ClassDef | ast.FunctionDef:
    """Where a class or function is defined.

    Raises:
        LookupError: its module does not define it.
    """
    for node in _tree(Path(str(_module_of(thing).__file__))).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == thing.__name__:
            return node
    raise LookupError(f"{thing.__module__} does not define {thing.__name__}")


def field_docs(kind: type) -> dict[str, str]:
    """The string below each field of a dataclass, by the field's name; fields of base classes among them."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if "__dataclass_fields__" not in vars(base):
            continue
        body = node_of(base).body
        for field, below in zip(body, body[1:], strict=False):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
                found[field.target.id] = str(below.value.value)  # type: ignore[attr-defined]
    return found


def field_lines(kind: type) -> list[str]:
    """The fields of a dataclass as they were written, with the comments behind them."""
    lines = Path(str(_module_of(kind).__file__)).read_text(encoding="utf-8").splitlines()
    fields = [node for node in node_of(kind).body if isinstance(node, ast.AnnAssign)]
    return [line.strip() for node in fields for line in lines[node.lineno - 1 : node.end_lineno]]


def signature(node: ast.FunctionDef, name: str | None = None, *, is_method: bool = False) -> str:
    """A function's signature, one argument a line where it is long; annotations that are texts lose their quotes.

    Args:
        node: the function.
        name: of it, if another is to be shown, such as a class's.
        is_method: leave out the first argument.
    """
    arguments = _Unquoted().visit(ast.parse(ast.unparse(node.args).join(("def f(", "): ..."))).body[0]).args
    if is_method:
        arguments.args = arguments.args[1:]
    returned = node.returns and name is None and ast.unparse(_Unquoted().visit_annotation(node.returns))
    result = f" -> {returned}" if returned else ""
    shown = name or node.name
    each = _one_by_one(arguments)
    one_line = f"{shown}({', '.join(each)}){result}"
    if len(one_line) <= 88:
        return one_line
    inside = "".join(f"    {argument},\n" for argument in each)
    return f"{shown}(\n{inside}){result}"


class _Unquoted(ast.NodeTransformer):
    def visit_arg(self, node: ast.arg) -> ast.arg:
        if node.annotation is not None:
            node.annotation = self.visit_annotation(node.annotation)
        return node

    def visit_annotation(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return ast.parse(node.value, mode="eval").body
        return node


def _one_by_one(arguments: ast.arguments) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    defaults = [None] * (len(positional) - len(arguments.defaults)) + list(arguments.defaults)
    shown = [_argument(argument, default) for argument, default in zip(positional, defaults, strict=True)]
    if arguments.vararg:
        shown.append("*" + _argument(arguments.vararg, None))
    elif arguments.kwonlyargs:
        shown.append("*")
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    shown += [_argument(argument, default) for argument, default in keywords]
    return shown


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    shown = argument.arg + (f": {ast.unparse(argument.annotation)}" if argument.annotation else "")
    equals = " = " if argument.annotation else "="
    return shown if default is None else f"{shown}{equals}{ast.unparse(default)}"
