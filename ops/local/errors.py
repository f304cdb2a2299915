"""What the local stack says when it cannot go on: one sentence that tells a person what to do."""


class CannotStart(Exception):
    """A server or process did not come up; the message is a sentence for the person at the terminal."""
