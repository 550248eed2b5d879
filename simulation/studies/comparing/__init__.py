"""Finished runs beside each other: groups of them, what they reach with intervals, and which differences are shown."""
