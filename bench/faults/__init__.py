"""Who loses, who doubles, who keeps: the same rotations and kills for Fieldtrail, rsyslog and syslog-ng."""
