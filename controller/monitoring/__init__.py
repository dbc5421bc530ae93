"""`trimtab monitor`: plant, controller, HMI and Prometheus together on this machine, for a look."""
