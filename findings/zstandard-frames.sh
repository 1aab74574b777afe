#!/usr/bin/env bash
# Two of python-zstandard's ways to read silently stop after the first frame of a .zst file; the others read all
# frames.
#
# Versions: zstandard 0.25.0 (Python).
# Guess:    a file made by appending compressed chunks is read whole by each method, as gzip does with several members,
#           or a method that reads one frame raises an error for the rest.
# Seen:     decompress() and read_to_iter() return the first chunk only, without an error; open(), stream_reader() and
#           copy_stream() return both. If the file begins with a skippable frame (metadata that any decoder must skip),
#           decompress() raises an error and read_to_iter() returns nothing, as for an empty file. decompress() rejects
#           the rest only with allow_extra_data=False. read_to_iter() has no such option.
# Why:      a results log that is appended in frames loses all but its first batch in such a reader.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check zstandard==0.25.0

cat >"$folder/trial.py" <<'PYTHON'
import io, sys, zstandard
path = f"{sys.argv[1]}/results.zst"
compress = zstandard.ZstdCompressor().compress
decompressor = zstandard.ZstdDecompressor()
def copy(file):
    target = io.BytesIO()
    decompressor.copy_stream(file, target)
    return target.getvalue()
ways = {
    "open": lambda file: zstandard.open(file).read(),
    "stream_reader": lambda file: decompressor.stream_reader(file).read(),
    "copy_stream": copy,
    "read_to_iter": lambda file: b"".join(decompressor.read_to_iter(file)),
    "decompress": lambda file: decompressor.decompress(file.read()),
    "decompress, allow_extra_data=False": lambda file: decompressor.decompress(file.read(), allow_extra_data=False),
}
frames = compress(b"one ") + compress(b"two")
skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"note"
for title, content in [("two frames", frames), ("skippable frame first", skippable + frames)]:
    with open(path, "wb") as file: file.write(content)
    for name, way in ways.items():
        with open(path, "rb") as file:
            try: print(f"{title}, {name}: {way(file)!r}")
            except zstandard.ZstdError: print(f"{title}, {name}: ZstdError")
PYTHON
timeout 60 "$folder/venv/bin/python" "$folder/trial.py" "$folder" | tee "$folder/seen"
diff "$folder/seen" - <<'SEEN' || { echo 'FAIL: zstandard no longer behaves as described'; exit 1; }
two frames, open: b'one two'
two frames, stream_reader: b'one two'
two frames, copy_stream: b'one two'
two frames, read_to_iter: b'one '
two frames, decompress: b'one '
two frames, decompress, allow_extra_data=False: ZstdError
skippable frame first, open: b'one two'
skippable frame first, stream_reader: b'one two'
skippable frame first, copy_stream: b'one two'
skippable frame first, read_to_iter: b''
skippable frame first, decompress: ZstdError
skippable frame first, decompress, allow_extra_data=False: ZstdError
SEEN
echo 'seen as described'
