"""Trains, evaluates and publishes Unmask's models. Imports `unmask`, never the reverse."""

import unmask  # noqa: F401 - before torch is: it says how torch's threads wait
