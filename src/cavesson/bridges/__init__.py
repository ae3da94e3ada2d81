"""Ways to and from other tools: Inspect's models, tasks and logs, and the Hugging Face hub."""
