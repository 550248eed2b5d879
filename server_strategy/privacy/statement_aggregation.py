"""Who sees what of a phone's update, in the privacy statement: by the protocol that made the sums."""

from collections.abc import Mapping
from typing import Any

Aggregation = Mapping[str, Any]
"""`protocol`, and with secagg the terms of a full session: `phones`, `neighbours`, `threshold`, `least_survivors`,
`corrupted` and `dropped` phones that are reckoned with, `security_bits`. `noise_place` is there where phones add it;
`robust` where a rule stands in the place of the mean: then a session is of a bucket of a round's phones, and `robust`
has `rule` and what it does, and of buckets how many there are, `bucket_phones`, and how many corrupted phones may meet.
"""

_SUM_ALONE = (
    "central: the server learns each round's sum of clipped updates, and of norms, losses and tokens, and no phone's "
    "own; it is trusted to add the noise"
)
_AS_IF = (
    "central: the server is sent each round's sums over phones, without masks: it is trusted to look at no host's "
    "alone, and to add the noise"
)
_NOISED = (
    "distributed: each phone adds its share of the noise before secure aggregation; the server learns each round's "
    "noised sum of updates, the exact sums of norms, losses, tokens and of updates within the clip norm, and no "
    "phone's own; it adds no noise, and phones are trusted to add theirs, but for those reckoned as corrupted"
)
_NOISED_AS_IF = (
    "distributed, as it is counted here: each phone adds its share of the noise, but the server is sent sums over a "
    "message's phones without masks, which fewer phones' noise protects: it is trusted to look at no host's alone"
)
_BUCKETS = (
    "central: the server learns, in each round and exactly, the sum over each bucket of phones, {least:,} of them or "
    "more, of clipped updates, norms, losses and tokens, and no phone's own; no noise is added to any of it"
)
_BUCKETS_AS_IF = (
    "central: the server is sent each round's sums over phones of a bucket, without masks: it is trusted to look at no "
    "host's alone; no noise is added to any of it"
)
_TOLD = (
    "central: the server is told of each phone, and sees the sum over each bucket of phones, of clipped updates; no "
    "noise is added to any of it"
)
_TOLD_OF_ALL = (
    "central: the server is told of each phone, and sees sums of clipped updates; no noise is added to any of it"
)
_BESIDE = "who took part in which round, and whose training failed, is known to the server under each protocol"
_CURIOUS = (
    "the server follows the protocol, and is curious; one that shows different survivors to different phones is found "
    "out, and gets no shares"
)
_CIPHERS = (
    "X25519, HKDF-SHA256, AES-256 in counter mode and in GCM, Ed25519 and SHA-256 are as strong as they are believed "
    "to be"
)
_NOT_SHOWN = (
    "that the phones' randomness is their own: a simulator is one program, and makes all phones' keys on its hosts, "
    "from a secret that it sends to hosts alone",
    "that a key belongs to a phone: an authority of the simulation signs every phone's key, where a deployment needs "
    "the maker's attestation or the like",
    "what phones and networks leak beside messages, such as the time that a step takes",
)

_NOT_SHOWN_OF_NOISE = (
    "that a phone's noise comes from its own randomness: here one key, derived from the run's, draws that of all",
    "that phones add any noise, or as much as they should: one that adds none is not noticed, and has to be reckoned "
    "as corrupted",
    "how many numbers of a sum wrap around, where masks hide the sum: the server never has it before the modulus",
)


def trust_model(aggregation: Aggregation | None, otherwise: str) -> str:
    """Whom the guarantee trusts, in one sentence.

    Args:
        aggregation: how sums were made; None: the server is told of each phone.
        otherwise: the sentence then.
    """
    if aggregation is None:
        return otherwise
    if (robust := aggregation.get("robust")) is not None:
        if aggregation["protocol"] == "none":
            return _TOLD if "buckets" in robust else _TOLD_OF_ALL
        masked = aggregation["protocol"] == "secagg"
        return _BUCKETS.format(least=robust["fewest_vectors"]) if masked else _BUCKETS_AS_IF
    if "noise_place" in aggregation:
        return _NOISED if aggregation["protocol"] == "secagg" else _NOISED_AS_IF
    return _SUM_ALONE if aggregation["protocol"] == "secagg" else _AS_IF


def aggregation_json(aggregation: Aggregation | None) -> dict[str, Any]:
    """What privacy.json says of it; nothing where the server is told of each phone."""
    if aggregation is None:
        return {}
    return {
        "aggregation": {
            **aggregation,
            "who_sees_what": dict(_who_sees_what(aggregation)),
            "assumed": list(_assumed(aggregation)),
            "not_shown_by_a_simulation": [
                *(_NOT_SHOWN if aggregation["protocol"] == "secagg" else ()),
                *(_NOT_SHOWN_OF_NOISE if "noise_place" in aggregation else ()),
            ],
        }
    }


def aggregation_markdown(aggregation: Aggregation | None) -> list[str]:
    """The section of privacy.md; empty where the server is told of each phone."""
    if aggregation is None:
        return []
    said = aggregation_json(aggregation)["aggregation"]
    lines = [
        "## Who sees what of an update",
        "",
        f"Protocol: {aggregation['protocol']}.",
        "",
        *_rule_markdown(aggregation.get("robust")),
        "| who | sees |",
        "|---|---|",
    ]
    lines += [f"| {who} | {what} |" for who, what in said["who_sees_what"].items()]
    for heading, items in (
        ("Assumed", said["assumed"]),
        ("What a simulation cannot show", said["not_shown_by_a_simulation"]),
    ):
        lines += ["", f"{heading}:", "", *(f"- {item}" for item in items)] if items else []
    return [*lines, ""]


def _who_sees_what(aggregation: Aggregation) -> list[tuple[str, str]]:
    """(who, what) for phones, the server, somebody on the network, and a server with helpers."""
    if aggregation["protocol"] == "none":
        return _told(aggregation["robust"])
    if aggregation["protocol"] != "secagg":
        host = "the sum of the phones of each message, which is one phone's vector where a message has one phone"
        return [
            ("a phone", "its own text and update, and every model it is sent"),
            ("the server", f"{host}; {_BESIDE}"),
            ("somebody on the network", "what the server sees, but for the encryption of the connection"),
        ]
    threshold, corrupted = aggregation["threshold"], aggregation["corrupted"]
    noised = "noise_place" in aggregation
    the_sum = "the sum of all, with the phones' noise in that of the updates" if noised else "the sum of all"
    if "robust" in aggregation:
        the_sum = f"the sum of each bucket, which is of {aggregation['robust']['fewest_vectors']:,} vectors or more"
    return [
        ("a phone", "its own text and update, every model it is sent, and sealed shares of its neighbours' secrets"),
        ("the server", f"masked vectors and public keys, and at the end {the_sum}; {_BESIDE}"),
        (
            "somebody on the network",
            "the same messages: masked vectors, public keys, sealed shares, and at the end shares",
        ),
        (
            f"the server with up to {corrupted:,} of {aggregation['phones']:,} phones{_of_a_bucket(aggregation)}",
            f"the sum of the other phones{', with their noise' if noised else ''}, and no more but with probability "
            f"2^-{aggregation['security_bits']}",
        ),
        (
            f"the server with {threshold:,} neighbours of a phone",
            f"that phone's vector{', with its own noise alone' if noised else ''}",
        ),
    ]


def _assumed(aggregation: Aggregation) -> list[str]:
    if aggregation["protocol"] == "none":
        return ["nothing is hidden from the server"]
    if aggregation["protocol"] != "secagg":
        return ["nothing is hidden from the server: the protocol counts what masks would cost, and has none"]
    phones, least = aggregation["phones"], aggregation["least_survivors"]
    if "robust" in aggregation:
        return _assumed_of_buckets(aggregation)
    return [
        _CURIOUS,
        f"at most {aggregation['corrupted']:,} of {phones:,} phones work with it",
        f"each phone shares masks with {aggregation['neighbours']:,} others, and shares of "
        f"{aggregation['threshold']:,} of them open a secret; a round of {phones:,} needs {least:,} vectors in it, and "
        "one in which fewer phones have sent keys may do with fewer, but never with fewer than the settings ask of a "
        "round; else it fails, and releases nothing",
        _CIPHERS,
        "the sum itself is protected by the noise alone, which the phones have added"
        if "noise_place" in aggregation
        else "the sum itself is protected by the noise alone, which the server adds after it has seen the sum",
    ]


def _assumed_of_buckets(aggregation: Aggregation) -> list[str]:
    """What is assumed where each bucket of phones is a session of its own."""
    robust, phones, corrupted = aggregation["robust"], aggregation["phones"], aggregation["corrupted"]
    least = robust["fewest_vectors"]
    return [
        f"{_CURIOUS}; and it draws who is with whom in a bucket as the settings say: one that chose could put a phone "
        "among corrupted ones",
        f"at most {corrupted:,} of the {phones:,} phones of a bucket work with it; a phone is then hidden in a sum of "
        f"{least - corrupted:,} phones at least, itself among them, and not in that of the whole round",
        f"a round has {robust['corrupted_of_a_round']:,} phones that work with it, as is reckoned; more than "
        f"{corrupted:,} of them are in the bucket of a given phone with probability "
        f"{robust['more_corrupted_probability']:.2g}, by the random draw",
        f"in a bucket each phone shares masks with {aggregation['neighbours']:,} others, and shares of "
        f"{aggregation['threshold']:,} of them open a secret; a bucket of {phones:,} with fewer than "
        f"{aggregation['least_survivors']:,} vectors has no sum: it is left out, its phones count as zeros, and the "
        "sum is divided by the fixed goal all the same",
        f"with fewer than {robust['buckets_needed']:,} buckets nothing is unmasked and nothing released",
        _CIPHERS,
        "nothing protects the buckets' sums themselves: there is no noise in them, and the fewer phones a bucket has, "
        "the more its sum tells of each",
    ]


def _told(robust: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(who, what) where the server is told of each phone, and a rule stands in the place of the mean."""
    bucket = ", all of one bucket" if "buckets" in robust else ""
    seen = f"the sum of the phones of each message{bucket}; it is one phone's update where a message has one phone"
    return [
        ("a phone", "its own text and update, and every model it is sent"),
        ("the server", f"{seen}; of each phone the norm, the loss and the tokens; {_BESIDE}"),
        ("somebody on the network", "what the server sees, but for the encryption of the connection"),
    ]


def _of_a_bucket(aggregation: Aggregation) -> str:
    return " of a bucket" if "robust" in aggregation else ""


def _rule_markdown(robust: Mapping[str, Any] | None) -> list[str]:
    """What stands in the place of the mean; nothing where the mean does."""
    if robust is None:
        return []
    screening = [f"{robust[name]:g}" for name in ("screening_norm", "screening_cosine") if name in robust]
    bound = f" (bound: {screening[0]})" if screening else ""
    lines = [f"Rule in the place of the mean: {robust['rule']}, {robust['does']}{bound}.", ""]
    if "buckets" in robust:
        lines += [
            f"- Buckets: at most {robust['buckets']:,}, each of {robust['bucket_phones']:,} phones or more, drawn anew "
            f"in each round; the rule is told that attackers may be in {robust['spoiled_at_most']:,} of them."
        ]
    return [
        *lines,
        f"- What it does to a claim of privacy: {robust['what_it_does_to_a_claim']}. No claim is made of this run.",
        f"- The denominator: {robust['denominator']}.",
        "",
    ]
