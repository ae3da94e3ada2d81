"""Run a study: the functions behind `cavesson run`."""

from cavesson.run.pilot import pilot_study as pilot_study
from cavesson.run.study import check_out as check_out
from cavesson.run.study import plan_study as plan_study
from cavesson.run.study import refuse_in_vain as refuse_in_vain
from cavesson.run.study import run_study as run_study
from cavesson.run.under_way import Finished as Finished
from cavesson.run.until_decided import schedule as schedule
