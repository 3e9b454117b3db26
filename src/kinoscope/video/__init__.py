"""Video and picture files: the frames on screen at given instants, or a named fault."""

from kinoscope.video.opening import DecodeLimits as DecodeLimits
from kinoscope.video.opening import is_video_name as is_video_name
from kinoscope.video.picture import is_picture_name as is_picture_name
from kinoscope.video.picture import read_picture as read_picture
from kinoscope.video.reader import DecodeReport as DecodeReport
from kinoscope.video.reader import VideoInfo as VideoInfo
from kinoscope.video.reader import VideoReader as VideoReader
