"""`trimtab demo`: the whole job on the soft plant, in one command.

The demo starts the plant and the controller as two processes of their own, by their commands,
plays the operator over OPC UA, shows both live, and reports.  It imports neither: what it knows of
the plant is the address space and the trend file; of the controller, the journal.
"""
