"""The unit's OPC UA server: nodes, sessions, users and rights."""
