"""Crashes, hangs and bad inputs, each tried on the sandbox: which there are, and the table of them."""
