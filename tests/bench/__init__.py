"""Numbers: what Unmask takes, beside its limits."""

import unmask  # noqa: F401 - before torch is: it says how torch's threads wait
