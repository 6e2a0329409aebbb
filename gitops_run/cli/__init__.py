"""The command line: it composes flows and adapters, and is the one place that prints."""
