"""Kafka to the world: who reads our topics outside the books.  Owns aiokafka's consumers."""
