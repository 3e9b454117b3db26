"""Every text template that a model sees, and the hash that goes into the spec."""

import hashlib

CLASS_NAME = "a photo of a {name}"
"""How a class name becomes a sentence for the `concepts` model."""


def prompts_hash(*templates: str) -> str:
    """SHA-256 of templates in order; a change of any character changes it."""
    return hashlib.sha256("\x00".join(templates).encode()).hexdigest()
