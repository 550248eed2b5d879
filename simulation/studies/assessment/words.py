"""Figures and values of an assessment in words, alike on the terminal, in Markdown and on the page."""

from simulation.studies.assessment.parts import Figure, Kept, Value

NOT_KNOWN = "not known"
_SAME = ("s", "L2 norm")  # units that are not words of many


def shown(value: Value, unit: str = "") -> str:
    """A value as people read it.

    Args:
        value: of a figure.
        unit: its unit; `share` is shown in percent.

    Example:
        >>> shown(0.1234, "share"), shown(1234, "phones"), shown(None), shown(True), shown(2.4250588)
        ('12.3 %', '1,234 phones', 'not known', 'yes', '2.43')
    """
    if value is None:
        return NOT_KNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    if unit == "share":
        return f"{100 * value:.1f} %"
    if value == 1 and unit not in _SAME:
        unit = unit.removesuffix("s")
    number = f"{value:,}" if isinstance(value, int) else f"{value:,.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{number} {unit}".rstrip() if len(unit) < 20 else number


def provision_shown(name: str) -> str:
    """A provision as it is cited.

    Example:
        >>> provision_shown("GDPR 13"), provision_shown("CCPA 1798.100")
        ('GDPR Art. 13', 'CCPA 1798.100')
    """
    return name.replace("GDPR ", "GDPR Art. ")


def sentence(text: str) -> str:
    """A sentence of a text that begins small; a name of a file or a flag stays as it is.

    Example:
        >>> sentence("no policy was handed in"), sentence("audit.json is not there")
        ('No policy was handed in.', 'audit.json is not there.')
    """
    first = text.partition(" ")[0]
    is_name = any(sign in first for sign in "._-")
    return f"{text if is_name else text[:1].upper() + text[1:]}."


def figure_shown(one: Figure) -> str:
    """The value of a figure, or why there is none."""
    if one.value is None and (one.why or "").startswith("not "):
        return str(one.why)
    value = shown(one.value, one.unit)
    return f"{value}: {one.why}" if one.why else value


def size_shown(kept: Kept) -> str:
    """The size of what is on disk."""
    return f"{kept.bytes / 1e6:,.1f} MB" if kept.bytes >= 1e5 else f"{kept.bytes / 1e3:.1f} kB"


def time_shown(kept: Kept) -> str:
    """For how long it is kept, and whether that is over."""
    if kept.category is None:
        return "always stays"
    if kept.keep_days is None:
        return "nobody said"
    return f"{kept.keep_days:g} days{', which are over' if kept.is_over else ''}"
