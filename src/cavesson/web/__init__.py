"""What every local page of Cavesson shares: a server on this machine alone, a guard before it, and what it needs installed."""
