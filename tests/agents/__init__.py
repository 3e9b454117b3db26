"""Tests of the door for agents."""
