"""Measures the models and the program; nothing else in the package imports from here."""
