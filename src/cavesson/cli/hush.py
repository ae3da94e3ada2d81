"""What libraries say of their own accord does not reach the screen of the command line.

What is wrong is an error or a note of ours. A user who sets one of the variables, or `python -W`, sees what they ask for.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings

VARIABLES = {
    "PYTHONWARNINGS": "ignore",
    "TRANSFORMERS_VERBOSITY": "error",
    "DATASETS_VERBOSITY": "error",
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}
"""Read by Python and by libraries at start-up, by those of worker processes as well. transformers takes the hub's bars as its own."""

_NOWHERE = logging.NullHandler()


def hush() -> None:
    """Turn off warnings, log lines and progress bars of libraries; to be called before a library is imported."""
    if not sys.warnoptions and "PYTHONWARNINGS" not in os.environ:
        warnings.simplefilter("ignore")
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    logging.getLogger().addHandler(_NOWHERE)  # without a handler, Python prints the warnings of every logger
    if logging.lastResort is not None:
        logging.getLogger("cavesson").addHandler(logging.lastResort)
