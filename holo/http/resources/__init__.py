"""One module per resource: functions from a call to an answer, and the rows that declare them."""
