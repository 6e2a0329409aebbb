"""What renders, as processes within limits."""
