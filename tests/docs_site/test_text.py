import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs_site.text import docstring_markdown, one_line, plain


@given(st.text(alphabet="ab*_<[]|\\ -", max_size=40))
def test_what_would_be_markup_is_escaped_and_nothing_else_changes(text):
    shown = plain(text).replace("`", "")
    assert re.sub(r"\\([\\*_<\[\]|])", r"\1", shown) == text
    assert not re.search(r"(?<!\\)(\\\\)*[*_<\[\]|]", shown)


@pytest.mark.parametrize(
    ("docstring", "markdown"),
    [
        ("Says it.", "Says it."),
        ("In two\nlines.", "In two lines."),
        ("Leave `a_b` alone, escape c_d.", "Leave `a_b` alone, escape c\\_d."),
        ("Goes with --cohort.goal.", "Goes with `--cohort.goal`."),
        ("Sum.\n\nArgs:\n    x: one,\n        and more.\n    y, z: two.", "Sum.\n\n**Args**\n\n- `x`: one, and more.\n"
         "- `y`, `z`: two."),
        ("Sum.\n\nReturns:\n    The value: a number.", "Sum.\n\n**Returns**\n\nThe value: a number."),
        ("Sum.\n\nExample:\n    >>> 1 + 1\n    2", "Sum.\n\n**Example**\n\n```pycon\n>>> 1 + 1\n2\n```"),
        ("Sum.\n\nSo:\n\n    x = 1", "Sum.\n\nSo:\n\n```python\nx = 1\n```"),
        ("python scripts/a.py\npython scripts/b.py", "```sh\npython scripts/a.py\npython scripts/b.py\n```"),
        ("Two:\n\n* one\n  more\n* two", "Two:\n\n* one more\n* two"),
        (None, ""),
    ],
)  # fmt: skip
def test_a_docstring_becomes_markdown(docstring, markdown):
    assert docstring_markdown(docstring) == markdown


def test_a_paragraph_is_one_line():
    assert one_line("a\n  b   c") == "a b c"
