"""What a cluster needs for sessions."""
