"""Text: messages, tokens, vocabulary, phones' populations, packed batches."""
