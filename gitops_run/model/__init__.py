"""What is true, as values and functions of values: no I/O, no clock, no randomness."""
