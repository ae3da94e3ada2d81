"""The report of audits: one self-contained HTML file."""
