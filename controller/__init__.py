"""The controller: plans, dispatch, relays, records and the console."""
