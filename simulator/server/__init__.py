"""The pretend Stripe's HTTP API: what the `stripe` library talks to unchanged.

A `Route` says what it accepts and who answers; the `Desk` holds what all of them share (the world, idempotency keys,
faults, the journal); `app` leads a request past the door, and is the only one that knows aiohttp beside the pages.  The
world is changed by nobody but its own verbs: here is form, there is business.
"""
