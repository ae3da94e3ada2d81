"""The research-sabotage audit bench: papers with their code, half of them sabotaged, and what measures an auditor.

An auditor gets a paper and its codebase and says how likely sabotage is and what would fix it. Every answer key here was
executed: honest findings hold, sabotaged ones flip, the fix patch restores them.

The interfaces that the rest is written against:

    bench = load_bench()                          bench.py      cases with their answer keys, from a folder
    folder = case.materialise(place)              bench.py      the workspace that an auditor is shown
    finding.evaluate(results)                     findings.py   whether a Key Finding holds in results.json
    box = find_sandbox()                          sandbox.py    where hostile code runs
    ran = box.run(command, folder, limits, writable=("out",))
    apply_patch(text, folder)                     patches.py    wholly or not at all; ConfigError if it does not fit
    experiment(folder, case, seed, box)           execution.py  one seed, run once; RunFailed if there are no results
    run_many(jobs, box)                           execution.py  many of them side by side
    verify(cases, box)                            verify.py     the answer key against execution
    with open_case(case, box) as shown            auditing.py   an AuditCase: what an auditor sees, no label and no id
    audit_all(cases, auditor, affordance, box)    auditing.py   verdicts as they come; the protocol Auditor
    append_verdict, read_verdicts                 verdicts.py   JSON lines; read_credence says why one is unscored
    grade_fixes(cases, verdicts, box)             fixes.py      which patches restore; question() is what a grader is asked
    score(cases, verdicts, grades)                scoring.py    AUROC, kinds, fix rates, calibration, false positives
"""
