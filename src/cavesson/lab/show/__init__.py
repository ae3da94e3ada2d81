"""What people see of a running lab, and what trackers note: displays that are told of every stage."""
