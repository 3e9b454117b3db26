"""Lets `python -m kinoscope` be the command line."""

from kinoscope.cli import main

main()
