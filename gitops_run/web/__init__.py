"""The web page: sessions at a glance and in depth, in a browser."""
