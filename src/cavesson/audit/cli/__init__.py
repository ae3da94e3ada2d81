"""The commands of `cavesson audit`. Each imports what it needs when it runs."""
