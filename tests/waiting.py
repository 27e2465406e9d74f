"""Waiting in tests: what does not come fails a test, and does not hang it."""

import threading
import time


def kit_threads():
    """The threads of the kit that are alive."""
    return [t for t in threading.enumerate() if t.name.startswith("lrsched_kit")]


def wait_until(condition, timeout=60):
    """Return when the condition holds; fail after so many seconds without."""
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout} s in vain"
        time.sleep(0.001)


def put_back(lab):
    """Let a lab that several tests share be as at its start."""
    for name in ("log", "code"):
        if name in lab.controls:
            lab.controls[name].value = False
    lab.controls["reset"].click()
    assert lab.wait(60)
