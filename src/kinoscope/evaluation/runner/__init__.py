"""Runs benchmarks; what a model said is kept, so that a second run asks nothing again."""
