"""`cavesson view`: runs, transcripts and artifacts of folders, in a local web page."""
