"""Tests of the index: store, derived arrays, scan, decoding and build."""
