"""What makes one session: settings, spec, key, receipt."""
