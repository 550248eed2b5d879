"""A listener that remembers every step it hears of."""

from typefleet.steps import Step


class Heard:
    """Names of the steps in their order, and how far each was said to be: (done, total, note, seconds left)."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.moves: list[tuple[float, float | None, str, float | None]] = []
        self.open: list[str] = []

    def begun(self, step: Step) -> None:
        self.names.append(step.name)
        self.open.append(step.name)

    def moved(self, step: Step) -> None:
        assert step.name in self.open
        self.moves.append((step.done, step.total, step.note, step.left_s()))

    def ended(self, step: Step) -> None:
        self.open.remove(step.name)
