"""No time limit an example: on a busy machine it would fail tests that have found nothing."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
