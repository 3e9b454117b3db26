"""Tests of Kinoscope."""
