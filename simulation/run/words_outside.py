"""What a run's settings say of its words and its start: where they are from, and what the guarantee does not cover.

The run states it, and whoever checks the statement comes to the same from `config.toml` and the plan on record.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from client_model.config import DataConfig
from client_model.public_start import FOLDER, PUBLIC_START, RANDOM_START
from server_strategy.privacy.plan import PrivacyPlan
from simulation.config import RunConfig
from simulation.run.files_statement import origin_of_start
from typefleet.plain_names import plain

_START = ("the starting weights", "central training on the text of ")  # how what is said of a start begins


def origin_by_settings(config: RunConfig, plan: PrivacyPlan, others: Mapping[str, Any] | None) -> str:
    """Where a run's vocabulary comes from, as `files_statement.origin_of_words` has it of the run itself.

    Args:
        config: the settings.
        plan: on record.
        others: what is said of other runs, which alone tells of the words that come with a start.
    """
    init = config.model.init
    if plan.vocabulary is not None:
        return "private" if plan.share_of_the_noise == 1 else "private of a model"
    if config.data.vocabulary_path is not None:
        return "listed"
    if init is None or init == RANDOM_START:
        return "counted"
    return "public" if init == PUBLIC_START or Path(init).parent == FOLDER else origin_of_start(plan, others)


def words_outside(data: DataConfig, origin: str) -> str:
    """What is said of a vocabulary that no guarantee covers; nothing of one that is covered, or that a start brings.

    Args:
        data: settings.
        origin: of the words.
    """
    if origin == "listed" and data.vocabulary_path is not None:
        return f"the vocabulary, read from {plain(data.vocabulary_path.name)}: private only if that list is"
    if origin != "counted":
        return ""
    return (
        f"the vocabulary, which is counted on training phones without noise, of words that at least "
        f"{data.min_phones_a_word} of them wrote (--privacy.vocabulary-epsilon, or a public list as "
        "--data.vocabulary-path, avoids it)"
    )


def says_what_is_outside(items: tuple[str, ...], config: RunConfig, origin: str) -> bool:
    """Whether a list of what the budget does not cover has the words and the start that it does not."""
    words = words_outside(config.data, origin)
    starts = config.model.init is not None and config.model.init != RANDOM_START
    return (not words or words in items) and (not starts or any(item.startswith(_START) for item in items))
