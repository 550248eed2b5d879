"""A drawing of matplotlib's as an element of a page, or as a file of its own."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from markupsafe import Markup


class Drawing(NamedTuple):
    """A figure on the page."""

    svg: Markup
    caption: str


def in_the_page(text: str, name: str, alternative: str, variables: Mapping[str, str]) -> Markup:
    """A drawing that matplotlib wrote, as an element of a page, as wide as the page's style has it.

    Args:
        text: of the SVG file.
        name: put before each id, since ids are the page's.
        alternative: what it says, for whoever does not see it.
        variables: of the page's style, by the colour that each takes the place of.
    """
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r"<svg[^>]*viewBox=\"([^\"]+)\"[^>]*>", r'<svg viewBox="\1" role="img" aria-label="">', text, count=1)
    text = text.replace("xlink:href", "href")
    text = re.sub(r" font-family: [^;\"]*;", "", text)
    used = set(re.findall(r"(?:href=\"#|url\(#)([^\")]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    text = re.sub(r'(href="#|url\(#)', rf"\1{name}-", text)
    for colour, variable in variables.items():
        text = text.replace(f": {colour}", f": var(--{variable})")
    text = re.sub(r"\n\s*", "\n", text).strip()
    return Markup(text.replace('aria-label=""', f'aria-label="{Markup.escape(alternative)}"', 1))


def standing_alone(drawing: Drawing, colours: str, width: int) -> str:
    """A drawing as a file of its own, on a ground of its own, light or dark as who looks at it has it.

    Args:
        drawing: of a page.
        colours: the page's style, as far as it sets the variables.
        width: in pixels, where nobody says another.
    """
    style = (
        f"{colours}svg {{ background: var(--page); }}\ntext {{ fill: var(--ink); font-family: system-ui, sans-serif; }}"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}"'
    begun, rest = str(drawing.svg).split(">", 1)
    return f"{begun.replace('<svg', head, 1)}>\n<style>\n{style}\n</style>{rest}\n"
