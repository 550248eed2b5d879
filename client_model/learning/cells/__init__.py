"""Recurrent cells: what the model remembers from word to word."""
