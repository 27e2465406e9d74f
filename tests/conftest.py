from hypothesis import settings

# The same examples each time, without a stop-watch: a red test is then red for everybody.
settings.register_profile("kit", derandomize=True, deadline=None, max_examples=40)
settings.load_profile("kit")
