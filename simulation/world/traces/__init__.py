"""Recorded availability: what a trace is, and its file formats."""
