"""What a keyboard is measured by: recall, keystrokes saved, perplexity, and what counting reaches."""
