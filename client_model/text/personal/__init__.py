"""Personal data in messages: what it is, where it stands in a text, and a phone's text without it."""
