"""Where records come from. Each input implements `shipper.model.Input`; `agent.py` builds them by name."""
