"""The pretend Stripe's HTTP API: what the `stripe` library talks to unchanged.

    python -m simulator.server --seed 7            tells {"address": ...}, and serves until it is asked to leave
    GET  /_pretend/now
    POST /_pretend/advance   {"days": 31}          all that falls due happens, in order
    POST /_pretend/faults    {"kind": "error_after", "method": "POST", "path": "/v1/refunds*", "count": 1}
    POST /_pretend/charge/ch_.../dispute           what banks and cardholders decide: see `fate`
    GET  /_pretend/journal                         every request and what it was answered

A `Route` says what it accepts and who answers; the `Desk` holds what all of them share (the world, idempotency keys,
faults, the journal); `app` leads a request past the door, and is the only one that knows aiohttp beside the pages.  The
world is changed by nobody but its own verbs: here is form, there is business.
"""
