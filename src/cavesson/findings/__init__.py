"""What a study found, as plain data: the form that every report, table and notebook reads."""
