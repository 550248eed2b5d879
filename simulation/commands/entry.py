"""What the console script `typefleet` calls: signals first, then the rest, which takes a while to import."""

import simulation.early_signals  # noqa: F401  before anything else


def main() -> int:
    """Run the subcommand that the command line names, and return its exit code."""
    from simulation.commands.dispatch import main

    return main()
