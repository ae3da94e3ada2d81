"""Displays of a running lab for people, and trackers that write its figures down for other programs."""
