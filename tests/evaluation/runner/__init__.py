"""Tests of the evaluation runner."""
