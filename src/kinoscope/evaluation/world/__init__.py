"""Measures an embedder on scenes of the generated world that it has not been trained on."""
