"""Tests of the generated video world."""
