"""Trackers: programs in which people follow and compare runs, each told the same of a run."""
