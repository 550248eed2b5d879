"""Typefleet: simulate a fleet of phones that learn a keyboard's next-word model together."""
