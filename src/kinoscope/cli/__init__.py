"""The command line: thin commands over the library; logs on stderr, results on stdout."""

from kinoscope.cli import analysis as analysis
from kinoscope.cli import ask as ask
from kinoscope.cli import bench as bench
from kinoscope.cli import cut as cut
from kinoscope.cli import evaluation as evaluation
from kinoscope.cli import large as large
from kinoscope.cli import library as library
from kinoscope.cli import mcp as mcp
from kinoscope.cli import models as models
from kinoscope.cli import moments as moments
from kinoscope.cli import reports as reports
from kinoscope.cli import search as search
from kinoscope.cli import serve as serve
from kinoscope.cli import training as training
from kinoscope.cli import triplets as triplets
from kinoscope.cli import vectors as vectors
from kinoscope.cli import world as world
from kinoscope.cli.console import main as main
