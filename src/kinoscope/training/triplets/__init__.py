"""Text triplets, real and generated, that teach a model what a sentence's nuances change."""

from kinoscope.training.triplets.files import write_triplets as write_triplets
from kinoscope.training.triplets.generated import GeneratedTriplets as GeneratedTriplets
from kinoscope.training.triplets.mix import Mix as Mix
from kinoscope.training.triplets.mix import Mixed as Mixed
from kinoscope.training.triplets.mix import load_mix as load_mix
from kinoscope.training.triplets.mix import mixed as mixed
from kinoscope.training.triplets.narrations import read_ego4d as read_ego4d
from kinoscope.training.triplets.published import read_covr as read_covr
from kinoscope.training.triplets.published import read_triplets as read_triplets
from kinoscope.training.triplets.triplet import PARTS as PARTS
from kinoscope.training.triplets.triplet import Part as Part
from kinoscope.training.triplets.triplet import Triplet as Triplet
from kinoscope.training.triplets.triplet import TripletSource as TripletSource
