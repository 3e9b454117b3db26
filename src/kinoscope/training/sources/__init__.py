"""Videos with what is true of them, from any place that has both, behind one small interface."""

from kinoscope.training.sources.captions import read_captions as read_captions
from kinoscope.training.sources.feature_cache import FeatureCache as FeatureCache
from kinoscope.training.sources.generated import GeneratedSource as GeneratedSource
from kinoscope.training.sources.protocol import Example as Example
from kinoscope.training.sources.protocol import Source as Source
from kinoscope.training.sources.webdataset import WebDataset as WebDataset
