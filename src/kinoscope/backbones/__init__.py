"""Models behind one protocol: frames and text in, token states out."""
