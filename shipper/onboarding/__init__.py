"""`fieldtrail init`: what a source must be asked, the answers, and the configuration made of them."""
