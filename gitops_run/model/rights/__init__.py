"""Who may do what, and how Flux and pods are bounded."""
