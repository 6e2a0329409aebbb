"""What a session is made of, as Pulumi resources: the only room that knows Outputs."""
