"""For the people who run it: the `billing` command and the local stack."""
