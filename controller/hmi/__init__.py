"""What operators look at: a web server of its own, an OPC UA client that can delay no scan."""
