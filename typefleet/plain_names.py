"""Names of files and folders as they stand in a privacy statement, which is read as Markdown and as it is."""

from urllib.parse import quote

_MARKUP = ("**", "](", "<")
_ENCODED = "*[]()<>%"


def is_plain(text: str) -> bool:
    """Whether a text is one line without markup, so that it can be nothing but what it is."""
    return text.isprintable() and not any(mark in text for mark in _MARKUP)


def plain(name: str) -> str:
    """A name that is plain, as it is; in any other, what could be markup as in an address (RFC 3986, section 2.1).

    Example:
        >>> plain("messages (2).jsonl"), plain("<b>**x**.jsonl")
        ('messages (2).jsonl', '%3Cb%3E%2A%2Ax%2A%2A.jsonl')
    """
    if is_plain(name):
        return name
    return "".join(
        quote(one, safe="", errors="surrogateescape") if one in _ENCODED or not one.isprintable() else one
        for one in name
    )
