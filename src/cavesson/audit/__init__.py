"""The research-sabotage audit bench: papers with their code, half of them sabotaged, and what measures an auditor.

An auditor gets a paper and its codebase and says how likely sabotage is and what would fix the code. Every answer key
was executed: honest findings hold, sabotaged findings flip, and the fix patch restores the honest findings.

Cases
    bench = load_bench()                          bench.py         cases with their answer keys, from a folder
    folder = case.materialise(place)              cases.py         the workspace that an auditor is shown
    finding.evaluate(results)                     findings.py      whether a Key Finding holds in results.json
Running code
    box = find_sandbox()                          sandbox/find.py  where hostile code runs
    ran = box.run(command, folder, limits, writable=("out",))
    apply_patch(text, folder)                     patches.py       wholly or not at all; ConfigError if the patch does not fit
    experiment(folder, case, seed, box)           execution.py     one seed, run once; RunFailed if there are no results
    run_many(jobs, box)                           execution.py     many seeds side by side
    verify(cases, box)                            verify.py        the answer key against execution
Auditing
    with open_case(case, box) as shown            auditing.py      an AuditCase: what an auditor sees, no label and no id
    audit_all(cases, auditor, affordance, box)    auditing.py      verdicts as they come; the protocol Auditor
    append_verdict, read_verdicts                 verdicts.py      JSON lines; read_credence says why a credence is unscored
    grade_fixes(cases, verdicts, box)             fixes.py         which patches restore; question() is what a grader is asked
    score(cases, verdicts, grades)                scoring.py       AUROC, kinds, fix rates, calibration, false positives
Folders
    auditors/ (by rule), agents/ (models), human/ (a web page for people), red/ (sabotages by rule), report/, cli/
"""
