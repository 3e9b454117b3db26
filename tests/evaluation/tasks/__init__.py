"""Tests of the benchmarks, each on a tiny made fixture in its true file layout."""
