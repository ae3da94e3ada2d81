"""The red team of the audit bench: sabotages made by rule, each one executed.

read_codebase(folder)                     source.py     files as operators see them
OPERATORS                                 operators/    the library of sabotages, by name
candidates(files)                         search.py     every edit that the operators can think of
find_mutants(case, sandbox)               search.py     those that flip a Key Finding, over seeds
make_bench(folder, sandbox)               bench.py      the shipped mutants as a bench that `load_bench` reads
render_paper(paper, ...)                  papers.py     a paper whose numbers and Conclusion follow from results
"""
