"""The model card: what a model file says of itself, wherever it goes.

It is made of the run's outcome and privacy statement, and of nothing that differs between two runs with the
same result (times, folders), so that the same weights give the same bytes.
"""

import json
from pathlib import Path
from typing import Any

from client_model.learning.language_model import ModelShape
from client_model.tflite.tflite_metadata import (
    DESCRIPTIONS,
    VOCABULARY,
    AssociatedFile,
    ModelFacts,
    read_associated_files,
)
from simulation.config import RunConfig
from typefleet.errors import ConfigError, expected

_LIMITS = (
    "Suggests words of its vocabulary only; everything else is read as one unknown word.",
    "Measured on simulated phones; a recall here is not what the users of a real keyboard will get.",
    "May repeat what is common in its training text, offensive words included: filter suggestions before showing them.",
)
_METRICS = {
    "top1_recall": "recall, first suggestion",
    "baseline_unigram_top1": "  the commonest word, always",
    "baseline_bigram_top1": "  the word that most often followed the last one",
    "top3_recall": "recall, three suggestions",
    "baseline_unigram_top3": "  the three commonest words, always",
    "baseline_bigram_top3": "  the three words that most often followed the last one",
    "impression_recall": "impression recall (at every token, ends and unknown words included)",
    "keystroke_savings": "keystrokes saved",
    "baseline_unigram_keystroke_savings": "  with the commonest words",
    "perplexity": "perplexity",
    "oov_rate": "words outside the vocabulary",
}


def model_card(
    config: RunConfig, shape: ModelShape, summary: dict[str, Any], privacy: dict[str, Any]
) -> dict[str, Any]:
    """The card, ready to be written as JSON; None where a value does not exist."""
    data = config.data
    return {
        "name": "Typefleet next-word keyboard",
        "weights_sha256": summary["weights_sha256"],
        "model": {**vars(shape), "weights": shape.num_weights},
        "trained_on": {
            "text": "synthetic English phones" if data.path is None else "phone messages of a file",
            "data_covered": privacy["data_covered"],
            "rounds": summary["rounds_completed"],
            "updates_of_phones": summary["devices_trained"],
            "tokens": summary["tokens_trained"],
        },
        "metrics_on_held_out_phones": {name: summary.get(name) for name in (*_METRICS, "recall_by_position")},
        "limits": list(_LIMITS),
        "privacy": {
            name: privacy[name]
            for name in (
                *("statement", "epsilon_is_of", "unit", "adjacency", "trust_model", "released", "mechanism"),
                *("mechanism_parameters", "spent", "epsilon_exact_gaussian", "amplification_by_sampling"),
                *("conversion", "accountant", "outside_the_budget", "caveats"),
            )
        },
    }


def card_markdown(card: dict[str, Any]) -> str:
    """The card as a page."""
    model, trained, privacy = card["model"], card["trained_on"], card["privacy"]
    lines = [f"# {card['name']}", "", f"Weights: sha256 {card['weights_sha256']}", "", "## Model", ""]
    lines.append(
        f"{model['cell'].upper()} of {model['units']} units, {model['vocabulary_size']:,} words, embedding "
        f"{model['embedding_size']}, tied output; {model['weights']:,} weights."
    )
    lines += ["", "## Trained on", "", f"- {trained['text']}: {trained['data_covered']}"]
    counts = (trained["rounds"], trained["updates_of_phones"], trained["tokens"])
    lines.append("- {:,} rounds, {:,} updates of phones, {:,} tokens".format(*counts))
    lines += ["", "## Measured on held-out phones", "", "| | |", "|---|---|"]
    for name, label in _METRICS.items():
        value = card["metrics_on_held_out_phones"][name]
        shown = "-" if value is None else f"{value:.1f}" if name == "perplexity" else f"{value:.2%}"
        lines.append(f"| {label.strip()} | {shown} |")
    lines += ["", "## Limits", "", *(f"- {item}" for item in card["limits"])]
    lines += ["", "## Privacy", "", f"{privacy['statement']}."]
    if privacy["epsilon_is_of"].startswith("a modelled"):
        lines += ["", "**This file does not have that guarantee itself:** its run added the noise of that deployment's"]
        lines += ["share of reports only, to show what accuracy the deployment would reach."]
    lines += ["", "Not covered:", ""]
    lines += [f"- {item}" for item in privacy["outside_the_budget"]]
    lines += [f"- {item}" for item in privacy["caveats"]]
    return "\n".join(lines) + "\n"


def read_inside(path: Path, file: bytes) -> tuple[dict[str, Any], str]:
    """(model card, vocabulary) inside a model file.

    Args:
        path: where the file is, for the error.
        file: its content.

    Raises:
        ConfigError: there are none.
    """
    try:
        inside = read_associated_files(file)
        return json.loads(inside["model_card.json"]), inside["vocab.txt"]
    except (ValueError, KeyError) as error:
        raise ConfigError(expected(path, "a vocabulary and a card inside", "none")) from error


def require_weights(path: Path, card: dict[str, Any], weights_sha256: str) -> None:
    """Refuse a file that an earlier export of other weights left.

    Raises:
        ConfigError: it is one.
    """
    if card["weights_sha256"] != weights_sha256:
        found = f"{card['weights_sha256'][:16]}...; scripts/export_model.py writes all files anew"
        raise ConfigError(expected(path, f"weights {weights_sha256[:16]}...", found))


def associated_files(card: dict[str, Any], vocabulary: str) -> tuple[ModelFacts, list[AssociatedFile]]:
    """What goes into a model file."""
    facts = ModelFacts(
        card["name"],
        "Suggests the next word; the files inside say what it was trained on and what it promises.",
        card["weights_sha256"][:16],
        "not stated",
        "not stated",
    )
    page, data = card_markdown(card), json.dumps(card, indent=1) + "\n"
    return facts, [
        AssociatedFile("vocab.txt", "One token a line; the line's number, from 0, is its id", VOCABULARY, vocabulary),
        AssociatedFile("model_card.md", "Model card", DESCRIPTIONS, page),
        AssociatedFile("model_card.json", "Model card, for programs", DESCRIPTIONS, data),
    ]
