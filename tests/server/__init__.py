"""Tests of the server: what it answers, what it refuses, and its page in a browser."""
