"""From scores to findings: points, frontiers, what comes back, and which published claims hold here."""
