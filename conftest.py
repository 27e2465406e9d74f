"""What all tests share, notebooks included."""

import os

from hypothesis import settings

# The same examples each time, without a stop-watch: a red test is then red for everybody.
settings.register_profile("kit", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("kit")

# The kernels that nbval starts show no progress bars: whether one appears is a matter of speed.
os.environ["TQDM_DISABLE"] = "1"
