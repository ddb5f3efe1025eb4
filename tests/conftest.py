"""Settings for all tests."""

import os

from hypothesis import HealthCheck, settings

# No deadline: these machines are noisy, and a slow example is no wrong one. FUZZ=100 tries a hundred times as many.
settings.register_profile(
    "hairpin-proxy",
    deadline=None,
    max_examples=100 * int(os.environ.get("FUZZ", "1")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("hairpin-proxy")
