"""An index made by many machines: Ray Data pipelines over the functions that one machine runs."""
