#!/usr/bin/env bash
# A batch over real files: counts the words of every licence text on this machine, on the embedded broker.
set -euo pipefail
sheaf=$(readlink -f "${1:?usage: demo.sh PATH-OF-SHEAF}")

texts=/usr/share/common-licenses
[ -d "$texts" ] || texts=$(dirname "$(readlink -f "$0")")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >sheaf.yaml <<YAML
flows:
  wordcount:
    exec: ["wc", "-w"]
    source: $texts/*
    timeout: 60s
YAML

say() { printf '\n\033[1m$ %s\033[0m\n' "$*"; }
[ -t 1 ] && [ -z "${NO_COLOR:-}" ] || say() { printf '\n$ %s\n' "$*"; }

say cat sheaf.yaml
cat sheaf.yaml
say sheaf create wordcount
"$sheaf" create wordcount
say sheaf run --until-empty
"$sheaf" run --until-empty
say sheaf status last
"$sheaf" status last
say sheaf results last --ordered
"$sheaf" results last --ordered
