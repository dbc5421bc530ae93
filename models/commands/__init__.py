"""The commands of `trimtab-models`; each loads what it needs when it is called."""
