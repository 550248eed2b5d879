"""A run's way onto a phone: export, model card, and a page to type on."""
