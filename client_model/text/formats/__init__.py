"""Formats of files of messages: the door, and the built-in ones."""
