"""The generated video world: seed -> scene -> frames and everything true about them."""

from kinoscope.training.world.chance import sample as sample
from kinoscope.training.world.config import WorldConfig as WorldConfig
from kinoscope.training.world.scene import SPLITS as SPLITS
from kinoscope.training.world.scene import Scene as Scene
from kinoscope.training.world.scene import Split as Split
from kinoscope.training.world.scene import reverse as reverse
