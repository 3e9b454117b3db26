"""Bridges to other libraries: a folder for sentence-transformers, a model for MTEB."""
