"""The next-word model and its training, on a phone and in one place."""
