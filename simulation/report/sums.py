"""What the report says of how updates were added up, where the server learns sums over phones alone."""

from collections.abc import Iterator

from server_strategy.aggregation.departures import WHY_FAILED
from simulation.report.facts import RunFacts

_SAID = {
    "secagg": "The server learned the sum of each round alone: phones masked their vectors, and the masks left on the "
    "sum of all were taken off.",
    "arithmetic": "Sums, failures and bytes are those of secure aggregation, but nothing was masked: the server is "
    "sent the sum of each host's phones.",
}
_BUCKETS = (
    "The server learned the sum of each bucket of a round's phones: in a bucket, phones masked their vectors, and the "
    "masks left on its sum were taken off. A robust rule made one of the buckets' means."
)
_UNKNOWN = (
    "Nobody is told what a single phone sent or trained on, so no table of this page shows it by phone, or by how much "
    "text phones hold."
)


def introduction(facts: RunFacts) -> str:
    """What the protocol did; empty where the server is told of each phone."""
    told = facts.summary.aggregation
    if told is None:
        return ""
    protocol = str(told.get("protocol"))
    said = _BUCKETS if protocol == "secagg" and told.get("buckets") else _SAID.get(protocol, "")
    return f"{said} {_UNKNOWN}".strip()


def rows(facts: RunFacts) -> Iterator[tuple[str, str]]:
    """(name, value) of what became of the sums."""
    told = facts.summary.aggregation or {}
    yield "protocol", str(told.get("protocol"))
    yield "rounds with a sum", _number(told.get("rounds_with_a_sum"))
    failed = told.get("rounds_failed") or {}
    yield "rounds without one", f"{sum(failed.values()):,}"
    for cause, number in failed.items():
        yield f"since {WHY_FAILED.get(cause, cause)}", f"{number:,}"
    if buckets := told.get("buckets"):
        yield "buckets of phones", _number(buckets.get("formed"))
        yield "phones of the smallest bucket", _number(buckets.get("fewest_phones"))
        yield "buckets that the rule was given", _number(buckets.get("in_the_rule"))
        yield "of these screened out", _number(buckets.get("screened_out"))
        for cause, number in (buckets.get("left_out") or {}).items():
            yield f"left out since {WHY_FAILED.get(cause, cause)}", f"{number:,}"
    yield "vectors in the sums", _number(told.get("phones_in_sums"))
    yield "phones that left, and whose masks were taken off", _number(told.get("phones_recovered"))
    yield "messages refused", _number(told.get("messages_refused"))
    for name, words in (
        ("phone_up_bytes", "a phone sends, median"),
        ("phone_down_bytes", "a phone hears beside the model"),
    ):
        yield words, _megabytes(told.get(name))


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else "left out: the run does not say"


def _megabytes(value: object) -> str:
    return f"{value / 1e6:,.2f} MB" if isinstance(value, int) else "left out: no round had a sum"
