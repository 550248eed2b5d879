"""The door for recurrent cells. To add one: a module with a `KIND` like `lstm`'s, and a line here."""

from typing import TYPE_CHECKING

from typefleet.doors import Door

if TYPE_CHECKING:
    from client_model.learning.cells.base import Cell

CELLS: "Door[Cell]" = Door(
    "cell",
    "typefleet.cells",
    {
        "cifg": "client_model.learning.cells.cifg:KIND",
        "gru": "client_model.learning.cells.gru:KIND",
        "lstm": "client_model.learning.cells.lstm:KIND",
        "stacked": "client_model.learning.cells.stacked:KIND",
        "transformer": "client_model.learning.cells.transformer:KIND",
    },
    needs=("name", "weights", "state_sizes", "step"),
)
"""`make(settings)` gives the cell, whose `name` is the kind's."""
