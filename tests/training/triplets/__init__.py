"""Tests of text triplets."""
