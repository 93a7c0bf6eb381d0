"""Looking at a flow: how many rows pass, how far it is, and what it looks like."""
