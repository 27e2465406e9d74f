"""The English table."""

from . import experiments, labs, museum, plotting, schedules, training

TABLE = {
    **schedules.WORDS,
    **training.WORDS,
    **plotting.WORDS,
    **experiments.WORDS,
    **museum.WORDS,
    **labs.WORDS,
}
