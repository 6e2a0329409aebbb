"""What a person waits for, measured."""
