"""Which texts a person should label first: one class for each strategy, each citing its source."""
