"""What all clients of HTTP here have in common: connections under one total deadline, TLS, what a failure means."""
