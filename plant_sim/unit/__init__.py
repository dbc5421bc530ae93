"""The unit behind the tags: plant, loops, hand-shake, instruments; no protocol."""
