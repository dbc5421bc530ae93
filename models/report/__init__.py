"""The report of an evaluation: tables, verdicts and pictures, all computed from its rows."""
