"""What all tests share, notebooks included."""

import os
import signal

# Where tests run side by side, each process and each kernel it starts keeps to one thread of
# torch's: threads that wait for each other at a crowded processor take many times as long.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"
# No progress bars from kernels: whether one appears is a matter of speed.
os.environ["TQDM_DISABLE"] = "1"

# A shell that runs them in the background lets them ignore Ctrl-C, and some tests press it.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
import torch
from hypothesis import settings

# The same examples each time, without a stop-watch: a red test is then red for everybody.
settings.register_profile("kit", derandomize=True, deadline=None, max_examples=25)
settings.register_profile("quick", derandomize=True, deadline=None, max_examples=3)
# Other examples each time, and many: `make fuzz`.
settings.register_profile("fuzz", deadline=None, max_examples=3000, print_blob=True)
settings.load_profile("kit")


@pytest.fixture
def two_threads():
    """Let torch have two threads, as on a machine with two cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)
