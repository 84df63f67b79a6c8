"""The input of type `syslog`: messages that syslog daemons and devices send over UDP, TCP, TLS and RELP."""
