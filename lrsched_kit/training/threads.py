"""torch's thread count while anybody trains, and threads that train side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch


class _OneThread:
    """torch's thread count, held at one while anybody trains, and put back when all have ended.

    torch gives a new thread the count that was set last, so of two trainings that overlap the
    second must not take the first one's setting for the process's own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._here = threading.local()
        self._holders = 0
        self._own = 1

    @contextmanager
    def __call__(self) -> Iterator[int]:
        """Hold torch to one thread; the ``with`` statement is given the process's own count."""
        with self._lock:
            if self._holders == 0:
                self._own = torch.get_num_threads()
            self._holders += 1
            torch.set_num_threads(1)
        depth = getattr(self._here, "depth", 0)
        self._here.depth = depth + 1
        try:
            yield self._own
        finally:
            with self._lock:
                self._holders -= 1
                self._here.depth = depth
                if depth == 0:
                    torch.set_num_threads(self._own)


one_thread = _OneThread()


@contextmanager
def crew(threads: int, stop: threading.Event) -> Iterator[Callable[..., Iterator[Any]]]:
    """Give a map() that works on so many items side by side, and stops if its user fails.

    Threads of Python, each with a group to itself, meet once per epoch. Torch's own threads meet
    at every operation, and where another program takes a core now and then, they were measured
    to wait for each other ten times as long as they work.
    """
    if threads == 1:
        yield map
        return
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        try:
            yield pool.map
        except BaseException:
            stop.set()
            raise
