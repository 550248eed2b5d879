"""Which settings of a run a dry run does not look at; apart, so that they can be refused at once."""

_IGNORED = {
    *("rounds", "evaluation", "privacy", "server_optimizer", "engine", "tracking"),
    *(("data", name) for name in ("held_out_share", "vocabulary_path", "vocabulary_phones", "min_phones_a_word")),
    *(("model", name) for name in ("init", "init_epochs", "init_is_public", "init_learning_rate")),
    *(("training", name) for name in ("learning_rate", "max_gradient_norm", "batch_size")),
    ("cohort", "max_abandoned_in_a_row"),
}


def ignores(path: tuple[str, ...]) -> bool:
    """Does a dry run not look at the setting of this path? It is about training then, or about privacy."""
    return path[0] in _IGNORED or path[:2] in _IGNORED
