"""Steps behind a prompt before its vector is made, and the rules that end them."""
