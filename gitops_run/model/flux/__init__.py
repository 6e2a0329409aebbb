"""What Flux's objects say, and what a person should do about it."""
