"""Kafka to the store and back: the Faust apps and the relay.  Owns Faust."""
