"""The reference of the Python API as Markdown: what `typefleet` and `typefleet.studies` offer."""

import ast
from collections.abc import Iterator
from dataclasses import is_dataclass
from importlib import import_module
from typing import Any, get_type_hints

from docs_site.settings_page import SETTINGS_PAGE
from docs_site.source import field_docs, field_lines, node_of, signature
from docs_site.text import docstring_markdown, one_line, plain
from simulation.config import RunConfig
from typefleet.doors import Door
from typefleet.errors import TypefleetError, expected

API_PAGE = "reference/python.md"


def api_page() -> str:
    """Every public name once, by what it is."""
    face, studies = import_module("typefleet"), import_module("typefleet.studies")
    names = {name: getattr(face, name) for name in face.__all__}
    groups = {
        "Run": [name for name, thing in names.items() if not isinstance(thing, type) and callable(thing)],
        "Settings": [name for name, thing in names.items() if name.endswith("Config") and is_dataclass(thing)],
        "Extension points": [name for name, thing in names.items() if isinstance(thing, Door)],
        "Errors": [name for name, thing in names.items() if _is_error(thing)],
    }
    placed = {name for group in groups.values() for name in group}
    groups = {"Run": groups.pop("Run"), "Classes": [name for name in names if name not in placed], **groups}
    blocks = [
        "# Python",
        "What stands here keeps its name and meaning: everything in `typefleet.__all__` and in `typefleet.studies`. "
        "Each name is imported when it is first used.",
        "```python\nfrom typefleet import RunConfig, simulate\n```",
    ]
    for title, group in groups.items():
        blocks.append(f"## {title}")
        for name in group:
            blocks += _entry(name, names[name])
    blocks += ["## Studies {#studies}", docstring_markdown(studies.__doc__)]
    for name in studies.__all__:
        blocks += _entry(name, getattr(studies, name), prefix="studies.")
    return "\n\n".join(block for block in blocks if block) + "\n"


def _is_error(thing: Any) -> bool:
    return isinstance(thing, type) and issubclass(thing, TypefleetError)


def _entry(name: str, thing: Any, prefix: str = "") -> Iterator[str]:
    yield f"### {prefix}{name} {{#{prefix}{name}}}"
    if isinstance(thing, Door):
        yield from _door(thing)
    elif isinstance(thing, type):
        yield from _class(thing)
    else:
        node = node_of(thing)
        if not isinstance(node, ast.FunctionDef):
            raise TypeError(expected(name, "a function, a class or an extension point", type(node).__name__))
        yield f"```python\n{signature(node)}\n```"
        yield docstring_markdown(thing.__doc__)


def _door(door: Door[Any]) -> Iterator[str]:
    yield f"The extension point for the {door.what}; packages enter by `{door.group}`."
    kinds = [door.kind(name) for name in door.built_in]
    yield "\n".join(f"- `{kind.name}`: {plain(kind.description)}" for kind in kinds)


def _class(kind: type) -> Iterator[str]:
    node = node_of(kind)
    methods = [part for part in node.body if isinstance(part, ast.FunctionDef)]
    constructor = next((part for part in methods if part.name == "__init__"), None)
    sections = {hint: name for name, hint in get_type_hints(RunConfig).items()}
    if constructor is not None:
        yield f"```python\n{signature(constructor, kind.__name__, is_method=True)}\n```"
    elif kind is not RunConfig and kind not in sections and is_dataclass(kind):
        fields = "".join(f"    {line}\n" for line in field_lines(kind))
        yield f"```python\nclass {kind.__name__}:\n{fields}```" if fields else ""
    yield docstring_markdown(kind.__doc__)
    if kind is RunConfig or kind in sections:
        where = f"{SETTINGS_PAGE.split('/')[1]}#{sections.get(kind, 'run')}"
        yield f"Its fields are [these settings]({where})."
    elif is_dataclass(kind):
        yield "\n".join(f"- `{name}`: {one_line(text)}" for name, text in field_docs(kind).items())
    for method in methods:
        if not method.name.startswith("_") and ast.get_docstring(method):
            yield from _method(kind.__name__, method)


def _method(owner: str, method: ast.FunctionDef) -> Iterator[str]:
    marks = {ast.unparse(mark).split(".")[-1] for mark in method.decorator_list}
    yield f"#### {owner}.{method.name}"
    if marks & {"property", "cached_property"}:
        returns = "" if method.returns is None else f": {ast.unparse(method.returns)}"
        yield f"```python\n{method.name}{returns}\n```"
    else:
        yield f"```python\n{signature(method, is_method=not marks & {'staticmethod'})}\n```"
    yield docstring_markdown(ast.get_docstring(method))
