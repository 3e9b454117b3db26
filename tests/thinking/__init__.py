"""Steps behind a prompt."""
