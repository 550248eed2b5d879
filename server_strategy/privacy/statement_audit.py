"""What a statement says of an audit that allowed a release: which rule it was held to, and which bounds it kept."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

PROVES = (
    "A passed audit proves nothing, since a better attack may come; what it says is that these attacks came to no "
    "more. That it passed was computed from the text of the phones, outside the guarantee; what was measured is in "
    "audit.json, for the owner of the run alone."
)
_WIDTH = 100  # columns of a page that is read as it is


@dataclass(frozen=True)
class Within:
    """A figure of an audit that is within its limit."""

    figure: str
    limit: float
    of_the_audit: bool
    """Whether the limit is the bound that the audit holds the figure to; if not, it is a number of the rule."""


@dataclass(frozen=True)
class ReleaseAudit:
    """An audit that was held to a rule, and passed."""

    rule_sha256: str  # of the bytes of the rule's file
    audit_sha256: str  # of what was found, see `Audit.sha256`
    quick: bool  # whether the attacks were the short ones, which the rule allowed
    within: tuple[Within, ...]


def audit_json(audit: ReleaseAudit | None) -> dict[str, Any]:
    """As a statement and a model card have it; no key where no release was held to a rule.

    Args:
        audit: that allowed the release.
    """
    if audit is None:
        return {}
    told = asdict(audit)
    return {"audit": {**told, "within": [dict(one) for one in told["within"]], "proves": PROVES}}


def _cell(text: str) -> str:
    """A text as it stands in a cell of a table."""
    return text.replace("\\", "\\\\").replace("|", "\\|")


def audit_markdown(audit: ReleaseAudit | None) -> list[str]:
    """The section of the statement and of the card; nothing where no release was held to a rule.

    Args:
        audit: that allowed the release.
    """
    if audit is None:
        return []
    attacks = "short attacks (`--quick`)" if audit.quick else "attacks"
    return [
        "## Audit before the release",
        "",
        f"The release was held to a rule, after {attacks} on these weights. All of these are",
        "within its limits:",
        "",
        "| figure | at most | the limit is |",
        "|---|--:|---|",
        *(f"| {_cell(one.figure)} | {one.limit:.4g} | {_whose(one)} |" for one in audit.within),
        "",
        *textwrap.wrap(PROVES, _WIDTH),
        "",
        f"- Rule, sha256: `{audit.rule_sha256}`",
        f"- Audit, sha256: `{audit.audit_sha256}`",
        "",
    ]


def _whose(one: Within) -> str:
    return "the audit's own bound" if one.of_the_audit else "a number of the rule"
