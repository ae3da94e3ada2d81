"""Recipes, the store of artifacts that they name, and the lab that makes what is missing."""
