"""The report: what a study found, as one HTML file. Reads study records only, never torch."""
