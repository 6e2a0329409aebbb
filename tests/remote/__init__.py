"""A cluster that is far away: a slow network, proxies, an exec plugin, a certificate authority of its own."""
