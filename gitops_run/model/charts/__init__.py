"""Charts as source-controller and helm-controller treat them."""
