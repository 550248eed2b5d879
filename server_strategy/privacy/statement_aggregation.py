"""Who sees what of a phone's update, in the privacy statement: by the protocol that made the sums."""

from collections.abc import Mapping
from typing import Any

Aggregation = Mapping[str, Any]
"""`protocol`, and with secagg the terms of a full round: `phones`, `neighbours`, `threshold`, `least_survivors`,
`corrupted` and `dropped` phones that are reckoned with, `security_bits`. `noise_place` is there where phones add it."""

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
_BESIDE = "who took part in which round, and whose training failed, is known to the server under each protocol"
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
    return [
        ("a phone", "its own text and update, every model it is sent, and sealed shares of its neighbours' secrets"),
        ("the server", f"masked vectors and public keys, and at the end {the_sum}; {_BESIDE}"),
        (
            "somebody on the network",
            "the same messages: masked vectors, public keys, sealed shares, and at the end shares",
        ),
        (
            f"the server with up to {corrupted:,} of {aggregation['phones']:,} phones",
            f"the sum of the other phones{', with their noise' if noised else ''}, and no more but with probability "
            f"2^-{aggregation['security_bits']}",
        ),
        (
            f"the server with {threshold:,} neighbours of a phone",
            f"that phone's vector{', with its own noise alone' if noised else ''}",
        ),
    ]


def _assumed(aggregation: Aggregation) -> list[str]:
    if aggregation["protocol"] != "secagg":
        return ["nothing is hidden from the server: the protocol counts what masks would cost, and has none"]
    phones, least = aggregation["phones"], aggregation["least_survivors"]
    return [
        "the server follows the protocol, and is curious; one that shows different survivors to different phones is "
        "found out, and gets no shares",
        f"at most {aggregation['corrupted']:,} of {phones:,} phones work with it",
        f"each phone shares masks with {aggregation['neighbours']:,} others, and shares of "
        f"{aggregation['threshold']:,} of them open a secret; a round of {phones:,} with fewer than {least:,} vectors "
        "in it fails, and releases nothing",
        "X25519, HKDF-SHA256, AES-256 in counter mode and in GCM, Ed25519 and SHA-256 are as strong as they are "
        "believed to be",
        "the sum itself is protected by the noise alone, which the phones have added"
        if "noise_place" in aggregation
        else "the sum itself is protected by the noise alone, which the server adds after it has seen the sum",
    ]
