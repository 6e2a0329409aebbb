"""What a session does, as values: events, the record they fold into, and the state that everyone reads."""
