import ast
from dataclasses import dataclass

import pytest

from docs_site.source import field_docs, field_lines, node_of, signature


@dataclass(frozen=True)
class Base:
    first: int = 1
    """Of the base."""


@dataclass(frozen=True)
class Sample(Base):
    second: str = ""  # not a docstring
    third: float = 0.5
    """Of the class
    itself."""


def test_docstrings_of_fields_are_found_those_of_bases_among_them():
    assert field_docs(Sample) == {"first": "Of the base.", "third": "Of the class\n    itself."}


def test_fields_keep_the_comments_behind_them():
    assert field_lines(Sample) == ['second: str = ""  # not a docstring', "third: float = 0.5"]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("def f(a, b=1): ...", "f(a, b=1)"),
        ("def f(a: 'X | None' = None) -> 'Y': ...", "f(a: X | None = None) -> Y"),
        ("def f(*, key: int): ...", "f(*, key: int)"),
        ("def f(*rest: int, key: int = 0): ...", "f(*rest: int, key: int = 0)"),
        (
            f"def f({', '.join(f'argument_{n}: int' for n in range(6))}): ...",
            f"f(\n{''.join(f'    argument_{n}: int,{chr(10)}' for n in range(6))})",
        ),
    ],
)
def test_a_signature_is_that_of_the_source(source, shown):
    node = ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef) and signature(node) == shown


def test_a_constructor_is_shown_as_its_class():
    node = ast.parse("def __init__(self, run: 'Path', blocked=()) -> None: ...").body[0]
    assert isinstance(node, ast.FunctionDef)
    assert signature(node, "Keyboard", is_method=True) == "Keyboard(run: Path, blocked=())"


def test_what_a_module_does_not_define_is_not_found():
    with pytest.raises(LookupError, match="does not define"):
        node_of(type("Elsewhere", (), {"__module__": __name__}))
