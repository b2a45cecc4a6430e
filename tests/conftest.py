"""For all tests: how hard Hypothesis tries. `nox -s fuzz` chooses between `short` and `long`."""

from hypothesis import settings

# No deadlines: a shared machine is slow now and then, and that says nothing about the code.
settings.register_profile("usual", deadline=None)
settings.register_profile("short", deadline=None, max_examples=500, stateful_step_count=50)
settings.register_profile("long", deadline=None, max_examples=50_000, stateful_step_count=200)
settings.load_profile("usual")
