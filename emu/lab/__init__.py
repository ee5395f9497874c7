"""What users run: machines, scenarios, reports."""
