"""Tests of the sources of training data."""
