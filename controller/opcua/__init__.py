"""The OPC UA side: session, process image, writes, what a server says of itself."""
