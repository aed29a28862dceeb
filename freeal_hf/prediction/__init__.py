"""Labels new texts with a finished student."""
