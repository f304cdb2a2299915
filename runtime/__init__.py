"""What a process needs before its first work: settings, clock, keys, logs, metrics, failures."""
