"""The business, pure: what facts mean, what follows from them, what we say.  No I/O, no clock, no randomness."""
