"""The resources: for each kind of thing its places, what they accept, and which verb of the world answers."""
