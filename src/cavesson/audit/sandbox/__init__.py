"""Where hostile code runs: the protocol of sandboxes, bubblewrap, and what comes back out of a run."""
