"""What a user can suffer while a model is brought to a claim, done on purpose; see docs/reliability.md."""
