"""Pages in a real browser: example sessions, a server of pages that needs no cluster, and Chromium."""
