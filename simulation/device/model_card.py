"""The model card: what a model file says of itself, wherever it goes.

It is made of the run's outcome and privacy statement, and of nothing else that differs between two runs with the same
result (times, folders); the head of the ledger is each run's own.
"""

import json
import re
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from client_model.learning.cells.base import Cell
from client_model.learning.language_model import ModelShape
from client_model.metrics.table import MetricTable
from client_model.text.population import text_source
from client_model.tflite.tflite_metadata import (
    DESCRIPTIONS,
    VOCABULARY,
    AssociatedFile,
    ModelFacts,
    read_associated_files,
)
from server_strategy.privacy.statement_audit import ReleaseAudit, audit_markdown
from server_strategy.privacy.statement_noise import REPEATABLE, noise_source_of
from server_strategy.privacy.statement_together import EARLIER
from simulation.config import RunConfig
from simulation.run.records import Summary
from simulation.run.statement_pages import built
from simulation.subcommands import command
from typefleet.errors import ConfigError, expected
from typefleet.untrusted.own_json import json_kind, parse_json

_OF_THE_STATEMENT = (
    *("statement", "epsilon_is_of", "unit", "adjacency", "trust_model", "released", "mechanism"),
    *("mechanism_parameters", "spent", "epsilon_exact_gaussian", "amplification_by_sampling"),
    *("conversion", "accountant", "outside_the_budget", "caveats"),
)
METRICS_ARE = (
    "Evaluation: counted exactly on the text of people who never train. Nothing of it is in the weights, and the "
    "guarantee does not cover it."
)
_LIMITS = (
    "Suggests words of its vocabulary only; everything else is read as one unknown word.",
    "Measured on simulated phones; a recall here is not what the users of a real keyboard will get.",
    "May repeat what is common in its training text, offensive words included: filter suggestions before showing them.",
)


def model_card(
    config: RunConfig, shape: ModelShape, summary: Summary, privacy: dict[str, Any], metrics: MetricTable
) -> dict[str, Any]:
    """The card as JSON; None where a value does not exist.

    Args:
        config, shape: of the run.
        summary: what it came to.
        privacy: the content of privacy.json, and as `ledger` the head of its ledger in brief.
        metrics: to show.
    """
    data = config.data
    return {
        "name": "Typefleet next-word keyboard",
        "weights_sha256": summary.weights_sha256,
        "typefleet_version": version("typefleet"),
        "model": {
            "cell": shape.cell.name,
            **_cell_settings(shape.cell),
            **shape.sizes,
            "weights": shape.num_weights,
        },
        "trained_on": {
            "text": "phone messages of a file" if data.path is not None else text_source(data),
            "data_covered": privacy["data_covered"],
            "rounds": summary.rounds_completed,
            "updates_of_phones": summary.devices_trained,
        },
        "metrics_are": METRICS_ARE,
        "metrics_on_held_out_phones": {metric.name: summary.held_out.get(metric.name) for metric in metrics.metrics},
        "limits": list(_LIMITS),
        "privacy": {
            "not_guaranteed": not_guaranteed(privacy),
            # Statements of earlier versions lack these.
            **{name: privacy.get(name) for name in ("assumed_population", "population_rule", "delta_rule")},
            **{name: privacy[name] for name in _OF_THE_STATEMENT},
            **({} if privacy.get(EARLIER) is None else {EARLIER: privacy[EARLIER]}),
            "ledger": privacy.get("ledger"),
            "noise_source": noise_source_of(privacy),
        },
        **({"audit": privacy["audit"]} if privacy.get("audit") is not None else {}),
    }


def not_guaranteed(privacy: dict[str, Any]) -> str | None:
    """What a file does not have, in plain words, of a privacy statement or a card; None where the guarantee is its own.

    Args:
        privacy: of any version; earlier ones have no words of their own for it.
    """
    said: str | None = privacy.get("not_guaranteed")
    if said is None and privacy["epsilon_is_of"] == "no privacy":
        return f"{privacy['statement']}."
    if said is None and str(privacy["epsilon_is_of"]).startswith("a modelled"):
        return (
            f"The guarantee stated for this file is that of {privacy['epsilon_is_of']}; the phones of this simulation "
            "do not have it."
        )
    return said


def _metric_rows(measured: dict[str, Any], metrics: MetricTable) -> list[str]:
    rows = []
    for metric in metrics.metrics:
        note = f", {metric.note}" if metric.note else ""
        rows.append(f"| {metric.label.strip()}{note} | {metric.text(measured[metric.name])} |")
    return rows


def _cell_settings(cell: Cell) -> dict[str, Any]:
    """{"cell_settings": {...}} of a cell that has any; a value that JSON lacks is put in words."""
    if not is_dataclass(cell) or not fields(cell):
        return {}
    plain = (str, int, float, bool, type(None))
    values = {f.name: getattr(cell, f.name) for f in fields(cell)}
    return {"cell_settings": {n: v if isinstance(v, plain) else repr(v) for n, v in values.items()}}


def card_markdown(card: dict[str, Any], metrics: MetricTable) -> str:
    """The card as a page."""
    model, trained, privacy = card["model"], card["trained_on"], card["privacy"]
    lines = [f"# {card['name']}", "", f"Weights: sha256 {card['weights_sha256']}"]
    lines += ["", f"Made by Typefleet {card['typefleet_version']}.", "", "## Model", ""]
    settings = "".join(f", {name} {value}" for name, value in model.get("cell_settings", {}).items())
    lines.append(
        f"{model['cell'].upper()} of {model['units']} units{settings}, {model['vocabulary_size']:,} words, embedding "
        f"{model['embedding_size']}, tied output; {model['weights']:,} weights."
    )
    lines += ["", "## Trained on", "", f"- {trained['text']}: {trained['data_covered']}"]
    lines.append(f"- {trained['rounds']:,} rounds, {trained['updates_of_phones']:,} updates (one per phone and round)")
    lines += ["", "## Measured on held-out phones", "", card["metrics_are"]]
    if any(value is not None for value in card["metrics_on_held_out_phones"].values()):
        lines += ["", "| | |", "|---|---|", *_metric_rows(card["metrics_on_held_out_phones"], metrics)]
    lines += ["", "## Limits", "", *(f"- {item}" for item in card["limits"])]
    lines += ["", "## Privacy", "", *_privacy_lines(privacy)]
    lines += ["", "Not covered:", ""]
    lines += [f"- {item}" for item in privacy["outside_the_budget"]]
    lines += [f"- {item}" for item in privacy["caveats"]]
    lines += _audit_lines(card.get("audit"))
    return "\n".join(lines) + "\n"


def _audit_lines(told: dict[str, Any] | None) -> list[str]:
    """Which rule the release was held to, and passed; nothing where it was held to none."""
    if told is None:
        return []
    audit = {name: value for name, value in told.items() if name != "proves"}
    release: ReleaseAudit = built(ReleaseAudit, audit, "the privacy statement")
    return ["", *audit_markdown(release)[:-1]]


def _privacy_lines(privacy: dict[str, Any]) -> list[str]:
    """What the file does not have first, then what there is, then what that supposes."""
    lacking, lines = privacy["not_guaranteed"], []
    if lacking is not None:
        lines += [f"**{lacking}**", ""]
    if lacking is None or not lacking.startswith(privacy["statement"]):  # which says that there is none
        lines += [f"{privacy['statement']}.", ""]
    if privacy.get(EARLIER) is not None:
        lines += [f"{privacy[EARLIER]}.", ""]
    if noise_source_of(privacy) == "seeded":
        lines.append(f"- Noise: {REPEATABLE}.")
    if privacy["assumed_population"] is not None and privacy["delta_rule"] is not None:
        lines.append(f"- Assumed population: {privacy['assumed_population']:,} phones, {privacy['population_rule']}.")
        lines.append(f"- Rule for delta: {privacy['delta_rule']}.")
    if (ledger := privacy["ledger"]) is not None:
        lines.append(f"- Ledger: {ledger['lines']:,} lines, the last with the hash {ledger['last_hash']}.")
    return lines


def read_inside(path: Path, file: bytes) -> tuple[dict[str, Any], str]:
    """(model card, vocabulary) inside a model file.

    Args:
        path: where the file is, for the error.
        file: its content.

    Raises:
        ConfigError: there are none, or they are not what we write: whatever shows them relies on it.
    """
    inside = read_associated_files(file, path)
    if not inside.keys() >= {"model_card.json", "vocab.txt"}:
        raise ConfigError(expected(path, "files inside it", "no vocabulary or no card"))
    where = f"{path}: model_card.json"
    card = parse_json(inside["model_card.json"].encode(), where, "a model card")
    _require_card(card, where)
    return card, inside["vocab.txt"]


_NUMBER, _TEXT = int | float, str
_OPTIONAL_NUMBER, _OPTIONAL_TEXT = int | float | None, str | None
# What is read of a card: where, and of which type; what earlier versions lack may be missing.
_ALWAYS: dict[tuple[str, ...], Any] = {
    ("weights_sha256",): _TEXT,
    ("model", "sequence_length"): int,
    ("metrics_on_held_out_phones", "top3_recall"): _OPTIONAL_NUMBER,
    ("privacy", "statement"): _TEXT,
    ("privacy", "epsilon_is_of"): _TEXT,
    ("privacy", "spent"): dict,
}
_SINCE: dict[tuple[str, ...], Any] = {
    ("typefleet_version",): _OPTIONAL_TEXT,
    ("metrics_on_held_out_phones", "keystroke_savings"): _OPTIONAL_NUMBER,
    ("metrics_on_held_out_phones", "baseline_bigram_keystroke_savings"): _OPTIONAL_NUMBER,
    ("metrics_on_held_out_phones", "baseline_trigram_keystroke_savings"): _OPTIONAL_NUMBER,
    ("privacy", "not_guaranteed"): _OPTIONAL_TEXT,
    ("privacy", EARLIER): _OPTIONAL_TEXT,
    ("privacy", "noise_source"): _OPTIONAL_TEXT,
    ("privacy", "assumed_population"): _OPTIONAL_NUMBER,
    ("privacy", "population_rule"): _OPTIONAL_TEXT,
    ("privacy", "delta_rule"): _OPTIONAL_TEXT,
    ("privacy", "spent", "delta"): _OPTIONAL_NUMBER,
}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LONGEST_SEQUENCE = 10_000


def _require_card(card: Any, where: str) -> None:
    """Hold what is read of a card to the types that it is shown as.

    Raises:
        ConfigError: something is missing, or of another type.
    """
    for place, kind in (_ALWAYS | _SINCE).items():
        found = card
        for name in place:
            if not isinstance(found, dict) or (name not in found and place in _ALWAYS):
                raise ConfigError(expected(where, "a model card", f"no {'.'.join(place)} in it"))
            found = found.get(name)
        if (found is None and place in _SINCE) or (isinstance(found, kind) and not isinstance(found, bool)):
            continue
        raise ConfigError(expected(f"{where}: {'.'.join(place)}", "a value as a model card has", json_kind(found)))
    if not _SHA256.fullmatch(card["weights_sha256"]):
        raise ConfigError(expected(f"{where}: weights_sha256", "64 digits of a SHA-256", "others"))
    if not 1 <= card["model"]["sequence_length"] <= _LONGEST_SEQUENCE:
        raise ConfigError(expected(f"{where}: model.sequence_length", f"1 to {_LONGEST_SEQUENCE}", "another number"))


def require_weights(path: Path, card: dict[str, Any], weights_sha256: str) -> None:
    """Refuse a file that an earlier export of other weights left.

    Raises:
        ConfigError: it is one.
    """
    if card["weights_sha256"] != weights_sha256:
        anew = command("scripts/export_model.py", path.parents[1])
        found = f"{card['weights_sha256'][:16]}...; {anew} writes all files anew"
        named = f"{weights_sha256[:16]}..." if _SHA256.fullmatch(weights_sha256) else "of a SHA-256"
        raise ConfigError(expected(path, f"weights {named}", found))


def associated_files(
    card: dict[str, Any], vocabulary: str, metrics: MetricTable
) -> tuple[ModelFacts, list[AssociatedFile]]:
    """What goes into a model file."""
    facts = ModelFacts(
        card["name"],
        "Suggests the next word; the files inside say what it was trained on and what it promises.",
        card["weights_sha256"][:16],
        "not stated",
        "not stated",
    )
    page, data = card_markdown(card, metrics), json.dumps(card, indent=1) + "\n"
    return facts, [
        AssociatedFile("vocab.txt", "One token a line; the line's number, from 0, is its id", VOCABULARY, vocabulary),
        AssociatedFile("model_card.md", "Model card", DESCRIPTIONS, page),
        AssociatedFile("model_card.json", "Model card, for programs", DESCRIPTIONS, data),
    ]
