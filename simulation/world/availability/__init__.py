"""When phones are eligible: the door for sources of availability, and the built-in ones."""
