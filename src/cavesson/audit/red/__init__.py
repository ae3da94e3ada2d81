"""The red team of the audit bench: sabotages made by rule, each one executed.

read_codebase(folder)                     source.py     files as operators see files
OPERATORS                                 operators/    the library of sabotages, by name
candidates(files)                         search.py     every edit that an operator finds
find_mutants(case, sandbox)               search.py     the edits that flip a Key Finding in every seed
make_bench(folder, sandbox)               bench.py      the shipped mutants as a bench that `load_bench` reads
rewrite(paper, runs, ...)                 papers.py     a paper whose numbers and Conclusion follow from results
"""
