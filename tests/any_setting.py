"""Any setting of a schedule that torch can work with, for property tests."""

from hypothesis import reject
from hypothesis import strategies as st

from lrsched_kit.schedules.params import Choice, Steps

LIMITS = {"fraction": (0.01, 0.99), "below one": (0, 0.99), "share": (0, 1), "factor": (0.01, 1)}


def numbers(param, *, beyond=True):
    """Values of one knob: all that its control reaches, or ten times as far."""
    if isinstance(param, Choice):
        return st.sampled_from(param.options)
    if isinstance(param, Steps):
        step = st.integers(1, param.high * (10 if beyond else 1))
        return st.lists(step, max_size=4).map(sorted).map(tuple)
    low, high = param.low, param.high
    if beyond:
        low, high = LIMITS.get(param.must_be, (low if param.integer else low / 10, high * 10))
    return st.integers(int(low), int(high)) if param.integer else st.floats(low, high)


def draw_params(data, row, *, base_lr, total_steps, beyond=True):
    """Draw all params of a row, such that they go together."""
    params = {p.name: data.draw(numbers(p, beyond=beyond), label=p.name) for p in row.params}
    try:
        return row.check(params, base_lr=base_lr, total_steps=total_steps)
    except ValueError:
        reject()
