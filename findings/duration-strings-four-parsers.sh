#!/usr/bin/env bash
# Four readers of durations such as "90" or "1:30" agree on little: a bare number is seconds, nanoseconds or an error.
#
# Versions: pytimeparse 1.1.10, humanfriendly 10.0, durationpy 0.11, pandas 2.3.3 (Python).
# Guess:    a bare number is seconds; "1:30" is an hour and a half; "1M" is an error or a month; what cannot be read
#           raises an error; a year has 365 days.
# Seen:     pandas reads "90" as 90 nanoseconds. pytimeparse returns None for "90" and for "500ms" instead of raising an
#           error, reads "1:30" as 90 seconds, and "1M" as a minute, as humanfriendly does. humanfriendly's year has 52
#           weeks (364 days), and it reads only one unit, so "1h30m" is an error.
# Why:      time-outs and thresholds are written like this in configurations; None as a time-out often means "no limit".
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check \
    pytimeparse==1.1.10 humanfriendly==10.0 durationpy==0.11 pandas==2.3.3

cat >"$folder/trial.py" <<'PYTHON'
import durationpy, humanfriendly, pandas, pytimeparse
def seconds(read, text):
    try:
        value = read(text)
    except Exception as error:
        return type(error).__name__
    return value if value is None or isinstance(value, (int, float)) else value.total_seconds()
readers = {"pytimeparse": pytimeparse.parse, "humanfriendly": humanfriendly.parse_timespan,
           "durationpy": durationpy.from_str, "pandas": pandas.Timedelta}
for text in ["90", "500ms", "1M", "1:30", "1:30:00", "1h30m", "1y"]:
    print(f"{text}:", *(f"{name} {seconds(read, text)}" for name, read in readers.items()))
print("nanoseconds:", pandas.Timedelta("90").value)
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: the readers no longer behave as described'; exit 1; }
90: pytimeparse None humanfriendly 90.0 durationpy DurationError pandas 0.0
500ms: pytimeparse None humanfriendly 0.5 durationpy 0.5 pandas 0.5
1M: pytimeparse 60 humanfriendly 60.0 durationpy DurationError pandas ValueError
1:30: pytimeparse 90 humanfriendly InvalidTimespan durationpy DurationError pandas ValueError
1:30:00: pytimeparse 5400 humanfriendly InvalidTimespan durationpy DurationError pandas 5400.0
1h30m: pytimeparse 5400 humanfriendly InvalidTimespan durationpy 5400.0 pandas 5400.0
1y: pytimeparse None humanfriendly 31449600.0 durationpy 31536000.0 pandas ValueError
nanoseconds: 90
SEEN
echo 'seen as described'
