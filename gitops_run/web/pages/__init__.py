"""What a browser shows: pure functions from states to HTML. Nothing here asks anybody or keeps anything."""
