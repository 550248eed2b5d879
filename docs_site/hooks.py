"""Hooks of mkdocs: the generated pages join those of `docs/`, and links get the form that they have on the site."""

import re
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # mkdocs loads this file by its path

from client_model.quiet import import_tensorflow_quietly
from docs_site.links import flags_of_script_link, for_the_site
from docs_site.pages import generated_pages
from docs_site.settings_page import SETTINGS_PAGE

_ALONE = ("index.md", "tutorial.md", "gallery.md")  # one page is all there is below its tab
_anchors: set[str] = set()


def on_files(files: Any, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of one package at another's use of it
        import_tensorflow_quietly()  # which modules of the reference import, and which speaks when it is
        pages = generated_pages()
    for place, text in pages.items():
        files.append(File.generated(config, place, content=text))
        if place == SETTINGS_PAGE:
            _anchors.update(re.findall(r"\{#([\w.-]+)\}", text))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Give a page's links the form of the site, and a guide to a script the way to its flags."""
    place = page.file.src_uri
    if place in _ALONE:
        page.meta.setdefault("hide", ["navigation"])
    flags = frozenset() if place.startswith("reference/") else frozenset(_anchors)
    return for_the_site(markdown, place, flags) + flags_of_script_link(place)
