"""What a keyboard adds to a model, beside the file: which words are shown, how, and what the phone itself remembers."""
