#!/usr/bin/env bash
# croniter and cronsim read the same cron expressions as different times.
#
# Versions: croniter 7.0.0, cronsim 2.8 (Python).
# Guess:    the two libraries agree about standard five-field expressions and time zones, and about expressions with
#           seconds.
# Seen:     "0 0 */2 * 1": croniter means each odd day of the month or a Monday; cronsim means a Monday on an odd day.
#           Both mean "or" in "0 0 1-7 * 1". "30 2 * * *" in the night in which 02:30 comes twice: croniter returns
#           both, cronsim the first. "*/30 * * * *" in that night, and a skipped 02:30 (moved to 03:00), are alike in
#           both. "0 0 1 * * 5": croniter reads second 5 of the 1st of each month, cronsim each Friday at 01:00. "0
#           22-2 * * *" is an error for cronsim only.
# Why:      a schedule that is checked with one library and run with the other starts batches on other days, or twice.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check croniter==7.0.0 cronsim==2.8 tzdata==2025.2

cat >"$folder/trial.py" <<'PYTHON'
import croniter, cronsim, datetime, zoneinfo
zone = zoneinfo.ZoneInfo("Europe/Berlin")
def times(library, expression, start):
    try:
        if library == "croniter":
            steps = croniter.croniter(expression, start)
            found = [steps.get_next(datetime.datetime) for _ in range(4)]
        else:
            steps = cronsim.CronSim(expression, start)
            found = [next(steps) for _ in range(4)]
    except cronsim.CronSimError:
        return "error"
    return ", ".join(f"{moment:%b %d %H:%M:%S%z}" for moment in found)
for expression, start in [
    ("0 0 */2 * 1", (2026, 1, 1)),
    ("0 0 1-7 * 1", (2026, 1, 1)),
    ("30 2 * * *", (2026, 10, 24, 12)),
    ("30 2 * * *", (2026, 3, 28, 12)),
    ("*/30 * * * *", (2026, 10, 25, 1, 45)),
    ("0 22-2 * * *", (2026, 1, 1)),
    ("0 0 1 * * 5", (2026, 1, 1)),
]:
    print(f"{expression} from {datetime.datetime(*start):%b %d}")
    for library in ("croniter", "cronsim"):
        print(f"  {library}: {times(library, expression, datetime.datetime(*start, tzinfo=zone))}")
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the libraries no longer behave as described'; exit 1; }
0 0 */2 * 1 from Jan 01
  croniter: Jan 03 00:00:00+0100, Jan 05 00:00:00+0100, Jan 07 00:00:00+0100, Jan 09 00:00:00+0100
  cronsim: Jan 05 00:00:00+0100, Jan 19 00:00:00+0100, Feb 09 00:00:00+0100, Feb 23 00:00:00+0100
0 0 1-7 * 1 from Jan 01
  croniter: Jan 02 00:00:00+0100, Jan 03 00:00:00+0100, Jan 04 00:00:00+0100, Jan 05 00:00:00+0100
  cronsim: Jan 02 00:00:00+0100, Jan 03 00:00:00+0100, Jan 04 00:00:00+0100, Jan 05 00:00:00+0100
30 2 * * * from Oct 24
  croniter: Oct 25 02:30:00+0200, Oct 25 02:30:00+0100, Oct 26 02:30:00+0100, Oct 27 02:30:00+0100
  cronsim: Oct 25 02:30:00+0200, Oct 26 02:30:00+0100, Oct 27 02:30:00+0100, Oct 28 02:30:00+0100
30 2 * * * from Mar 28
  croniter: Mar 29 03:00:00+0200, Mar 30 02:30:00+0200, Mar 31 02:30:00+0200, Apr 01 02:30:00+0200
  cronsim: Mar 29 03:00:00+0200, Mar 30 02:30:00+0200, Mar 31 02:30:00+0200, Apr 01 02:30:00+0200
*/30 * * * * from Oct 25
  croniter: Oct 25 02:00:00+0200, Oct 25 02:30:00+0200, Oct 25 02:00:00+0100, Oct 25 02:30:00+0100
  cronsim: Oct 25 02:00:00+0200, Oct 25 02:30:00+0200, Oct 25 02:00:00+0100, Oct 25 02:30:00+0100
0 22-2 * * * from Jan 01
  croniter: Jan 01 01:00:00+0100, Jan 01 02:00:00+0100, Jan 01 22:00:00+0100, Jan 01 23:00:00+0100
  cronsim: error
0 0 1 * * 5 from Jan 01
  croniter: Jan 01 00:00:05+0100, Feb 01 00:00:05+0100, Mar 01 00:00:05+0100, Apr 01 00:00:05+0200
  cronsim: Jan 02 01:00:00+0100, Jan 09 01:00:00+0100, Jan 16 01:00:00+0100, Jan 23 01:00:00+0100
SEEN
echo 'seen as described'
