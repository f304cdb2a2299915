"""HTTP to Kafka: the doors through which the world tells us something.  Owns aiohttp."""
