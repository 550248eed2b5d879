"""What is kept on disk so that only who has a key reads it, how long it is kept, and how it goes."""
