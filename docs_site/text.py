"""From docstrings, as they stand in the code, to Markdown."""

import re
from collections.abc import Iterator
from inspect import cleandoc

_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Examples?):$", re.MULTILINE)
_ITEM = re.compile(r"^([\w*, .]+): (.*)$", re.DOTALL)
_FLAG = re.compile(r"(?<![\w`.-])(--[a-z][\w.-]*[\w])")


def plain(text: str) -> str:
    """Running text of a docstring as Markdown: what would be markup is escaped, code in backticks is left alone.

    Example:
        >>> plain("a_b with `x_y` and --privacy.clip-norm")
        'a\\\\_b with `x_y` and `--privacy.clip-norm`'
    """
    parts = text.split("`")
    for place in range(0, len(parts), 2):
        escaped = re.sub(r"([\\*_<\[\]|])", r"\\\1", parts[place])
        parts[place] = _FLAG.sub(lambda found: f"`{found[1]}`", escaped)
    return "`".join(parts)


def one_line(text: str) -> str:
    """A docstring of one paragraph, on one line."""
    return plain(" ".join(text.split()))


def docstring_markdown(docstring: str | None) -> str:
    """A docstring with its sections (Args, Returns, Raises, Example ...) as Markdown."""
    pieces = _SECTION.split(cleandoc(docstring or ""))
    blocks = [_body(pieces[0])]
    for name, body in zip(pieces[1::2], pieces[2::2], strict=True):
        blocks.append(f"**{name}**")
        if name.startswith("Example"):
            blocks.append(f"```pycon\n{cleandoc(body)}\n```")
        else:
            items = list(_items(body))
            blocks.append("\n".join(f"- {item}" for item in items) if len(items) > 1 else "".join(items))
    return "\n\n".join(block for block in blocks if block)


def _body(text: str) -> str:
    """Paragraphs, and code where lines are indented."""
    blocks = []
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = cleandoc(block).splitlines()
        if lines and all(line.startswith("python ") for line in lines):
            blocks.append("```sh\n{}\n```".format("\n".join(lines)))
        elif block.startswith(("    ", ">>>", "from ")):
            blocks.append("```python\n{}\n```".format("\n".join(lines)))
        elif re.match(r"(\* |- |\d\. )", block):
            blocks.append("\n".join(plain(line) if line[0] != "*" else "*" + plain(line[1:]) for line in _lists(block)))
        else:
            blocks.append(one_line(block))
    return "\n\n".join(blocks)


def _lists(block: str) -> list[str]:
    """The items of a list, each on one line."""
    return [" ".join(item.split()) for item in re.split(r"\n(?=\* |- |\d\. )", block)]


def _items(body: str) -> Iterator[str]:
    """The entries of a section: `name`: text."""
    for entry in re.split(r"\n(?=\S)", cleandoc(body)):
        found = _ITEM.match(entry)
        if found and " " not in found[1].replace(", ", ","):
            names = ", ".join(f"`{name}`" for name in found[1].split(", "))
            yield f"{names}: {one_line(found[2])}"
        elif entry.strip():
            yield one_line(entry)
