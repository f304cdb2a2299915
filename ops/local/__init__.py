"""Real Kafka, real PostgreSQL and our processes on this machine, without an engine and without leaving a trace.

`Stack` is the whole; `LocalKafka`, `LocalPostgres` and `Supervisor` work alone, each in a home folder of its own, so
that tests run several side by side.  Everything binds 127.0.0.1.
"""
