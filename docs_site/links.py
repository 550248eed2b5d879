"""Links between pages, as the site has them: files of the project that are no page are named without a link."""

import posixpath
import re

from docs_site.settings_page import SCRIPTS, SCRIPTS_PAGE, SETTINGS_PAGE

_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\(([^()\s]+)\)")
_FENCE = re.compile(r"(^ *```.*?^ *```$)", re.MULTILINE | re.DOTALL)
_FLAG = re.compile(r"(?<!\[)`(--[a-z][\w.-]*)( [^`]*)?`")


def adopted() -> dict[str, str]:
    """Files beside `docs/` that are pages of the site -> their place there."""
    names = ("contributing", "changelog", "security")
    return {"README.md": "overview.md", **{f"{name.upper()}.md": f"{name}.md" for name in names}}


def for_the_site(markdown: str, place: str, flags: frozenset[str] = frozenset()) -> str:
    """A page's text with links that hold on the site.

    Args:
        markdown: as it stands in the project.
        place: of the page below `docs/`.
        flags: settings that a mention of their flag is linked to, as anchors of the reference.
    """
    pieces = _FENCE.split(markdown)
    for number in range(0, len(pieces), 2):  # the others are code
        pieces[number] = _LINK.sub(lambda found: _link(found, place), pieces[number])
        if flags:
            lines = pieces[number].split("\n")
            pieces[number] = "\n".join(_flags_linked(line, place, flags) for line in lines)
    return "".join(pieces)


def _link(found: re.Match[str], place: str) -> str:
    image, text, target = found.groups()
    if re.match(r"[a-z]+:|#", target):
        return found[0]
    path, hash_mark, anchor = target.partition("#")
    name = posixpath.normpath(posixpath.join("docs", posixpath.dirname(_origin(place)), path))
    if name in adopted():
        there = adopted()[name]
    elif name.startswith("docs/"):
        there = name.removeprefix("docs/")
    else:
        return text
    relative = posixpath.relpath(there, posixpath.dirname(place) or ".")
    return f"{image}[{text}]({relative}{hash_mark}{anchor})"


def _origin(place: str) -> str:
    """Where a page's text lies, seen from `docs/`."""
    return next((f"../{name}" for name, there in adopted().items() if there == place), place)


def _flags_linked(line: str, place: str, flags: frozenset[str]) -> str:
    """A line in which flags of a run lead to their place in the reference; headings and links stay as they are."""
    if line.startswith("#") or "](" in line:
        return line
    page = posixpath.relpath(SETTINGS_PAGE, posixpath.dirname(place) or ".")

    def linked(found: re.Match[str]) -> str:
        anchor = found[1].lstrip("-")
        return f"[{found[0]}]({page}#{anchor})" if anchor in flags else found[0]

    return _FLAG.sub(linked, line)


def flags_of_script_link(place: str) -> str:
    """The line below a guide to a script: where all its flags are; nothing on other pages."""
    folder, name = posixpath.split(place)
    script = name.removesuffix(".md").replace("-", "_")
    if folder != "how-to" or not (SCRIPTS / f"{script}.py").exists():
        return ""
    page = posixpath.relpath(SCRIPTS_PAGE, folder)
    return f"\n\n[All flags of `{script}.py`]({page}#{script})\n"
