"""What can be done with sessions and platforms, composed without a terminal."""
