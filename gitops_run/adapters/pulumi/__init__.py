"""Pulumi: stacks are made, changed and removed through its Automation API, in threads.

Only this package and the declaring room know Pulumi. What its engine reports comes out as values of the
model.
"""
