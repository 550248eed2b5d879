"""What a statement says of phones that were taken out of a run after they had taken part."""

import textwrap
from dataclasses import asdict, dataclass
from typing import Any

from server_strategy.privacy.plan import PrivacyPlan

_WIDTH = 100  # columns of a page that is read as it is


@dataclass(frozen=True)
class PhonesForgotten:
    """Phones that a run is without for good.

    Attributes:
        phones: how many.
        times: how often the run was told to forget.
        earlier_releases: models that had been released by then and are not on the way to this one.
        of_earlier_runs: of the phones, at most, those that the run it starts from had forgotten already.
        record_lines: how many lines the record of these phones had.
        record_sha256: the hash of the last of them.
    """

    phones: int
    times: int
    earlier_releases: int
    of_earlier_runs: int
    record_lines: int
    record_sha256: str


def forgotten_json(plan: PrivacyPlan, told: PhonesForgotten | None) -> dict[str, Any]:
    """As a statement has it; no key where nobody was forgotten.

    Args:
        plan: of the run.
        told: by the run.
    """
    return {} if told is None else {"forgotten": {**asdict(told), "says": " ".join(_says(plan, told))}}


def forgotten_markdown(plan: PrivacyPlan, told: PhonesForgotten | None) -> list[str]:
    """The section of the statement; nothing where nobody was forgotten."""
    if told is None:
        return []
    items = [line for text in _says(plan, told) for line in textwrap.wrap(f"- {text}", _WIDTH, subsequent_indent="  ")]
    return ["## Forgotten phones", "", *items, ""]


def _says(plan: PrivacyPlan, told: PhonesForgotten) -> list[str]:
    phones = "1 phone was" if told.phones == 1 else f"{told.phones:,} phones were"
    said = [f"{phones} taken out of this run for good: these weights are those of a run in which they never came."]
    if told.earlier_releases:
        models = "1 model was" if told.earlier_releases == 1 else f"{told.earlier_releases:,} models were"
        said.append(
            f"{models} released before that. They cannot be called back: who has one keeps it. They count in the cost "
            "above, which is that of all that was ever released, and their epsilon stays spent."
        )
        said.append(_noise(plan))
    if plan.vocabulary is not None:
        said.append("The words stay: they were chosen with noise, at a cost that is part of the above.")
    if told.of_earlier_runs:
        said.append(f"Of them, at most {told.of_earlier_runs:,} had been forgotten by a run that this one starts from.")
    return said


def _noise(plan: PrivacyPlan) -> str:
    if plan.mechanism is None:
        return "No noise was added, so whoever has the models of both kinds sees what the difference came to."
    if plan.noise_source == "seeded":
        return (
            "The noise since then is another one, drawn from the same seed so that it can be repeated: whoever knows "
            "the seed can take it off the models of both kinds, and see what the phones had sent."
        )
    return "The noise since then is fresh, so that the two kinds of models do not give the phones' part away together."
