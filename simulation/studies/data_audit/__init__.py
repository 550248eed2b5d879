"""What is in the text before any training: personal data, near-duplicates, languages, how unequal phones are."""
