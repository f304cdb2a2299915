"""How fast: ours beside its own bare parts, in one run.  Programs, not tests; the wheel does not contain them."""
