"""Run work on untrusted bytes in child processes: their limits, and which addresses may be dialled."""
