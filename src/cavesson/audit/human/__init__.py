"""A person as an auditor: a local web page with the paper, then the code, a verdict that saves itself, and a timer.

    session.py    cases, progress and answers: one file that survives a closed browser
    content.py    papers, code and searches as harmless HTML
    edits.py      a person edits files; the patch is worked out
    guard.py      requests are answered for the holder of the token, on this machine
    app.py        the page on which papers are audited
    grading.py    the page on which proposed fixes are judged against the answer key
    serve.py      an address of this machine, until Ctrl-C

Nothing that the auditing page sends tells a case's label: addresses hold keyed digests, the order is drawn, answer keys
are not read.
"""
