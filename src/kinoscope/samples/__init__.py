"""Real sample clips with their prompts, and the small videos that checks are made on."""

from kinoscope.samples.clips import CLIPS as CLIPS
from kinoscope.samples.clips import WORKFLOWS as WORKFLOWS
from kinoscope.samples.clips import Sample as Sample
from kinoscope.samples.clips import SampleSet as SampleSet
from kinoscope.samples.clips import fetch as fetch
from kinoscope.samples.clips import load as load
from kinoscope.samples.prompts import choose_prompts as choose_prompts
from kinoscope.samples.writing import write_video as write_video
