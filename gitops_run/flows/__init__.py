"""What happens, in order: each flow asks the model to decide and the adapters to act."""
