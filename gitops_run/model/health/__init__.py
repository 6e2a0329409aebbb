"""Whether an applied object does what it is for, and why not."""
