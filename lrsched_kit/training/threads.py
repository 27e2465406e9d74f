"""torch's thread count while anybody trains, and threads that train side by side."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

_lock = threading.Lock()
_holders: list[int] = []  # the threads that train, each once for every training on it
_own = 1


@contextmanager
def one_thread() -> Iterator[int]:
    """Hold torch to one thread while anybody trains; give the process's own count, put back after.

    torch gives a new thread the count that was set last, so of two trainings that overlap the
    second must not take the first one's setting for the process's own.
    """
    global _own
    here = threading.get_ident()
    with _lock:
        if not _holders:
            _own = torch.get_num_threads()
        _holders.append(here)
        torch.set_num_threads(1)
    try:
        yield _own
    finally:
        with _lock:
            _holders.remove(here)
            if here not in _holders:
                torch.set_num_threads(_own)


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
