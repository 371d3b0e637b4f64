"""Where the volume lives: plans, outcomes, reports."""
