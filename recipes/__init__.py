"""Runs that produce a saved result: `python -m recipes.NAME` writes `results/NAME.json`."""
