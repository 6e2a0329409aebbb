"""What Pulumi reports of stacks, and where their files are."""
