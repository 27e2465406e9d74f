"""The catalogue: what a schedule is, all that the kit knows, and how to put several together."""

from .catalogue import BASICS, SCHEDULES, get_schedule
from .params import Choice, Param, Steps
from .phases import Phase, boundaries, compose, find_jumps
from .spec import FAMILIES, Schedule
from .trace import trace_groups, trace_lr, trace_momentum

__all__ = [
    "BASICS",
    "FAMILIES",
    "SCHEDULES",
    "Choice",
    "Param",
    "Phase",
    "Schedule",
    "Steps",
    "boundaries",
    "compose",
    "find_jumps",
    "get_schedule",
    "trace_groups",
    "trace_lr",
    "trace_momentum",
]
