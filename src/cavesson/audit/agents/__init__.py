"""Language models as auditors, attackers and graders, through Inspect (the extra `audit`).

    LLMAuditor(model, logs)                   auditor.py    the protocol `Auditor`, with a tool-using agent behind it
    attack(case, model, sandbox, logs)        attacker.py   an agent writes a patch; execution decides whether the patch is a sabotage
    grade_mechanisms(cases, verdicts, ...)    grader.py     does a fix name the mechanism? a model answers yes or no

Every model that Inspect can reach will do (`openai/…`, `anthropic/…`, `vllm/…`, `hf/…`); `inspect view --log-dir …`
opens the logs.
"""
