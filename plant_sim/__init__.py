"""The soft plant: the polymerisation CSTR behind an OPC UA server."""
