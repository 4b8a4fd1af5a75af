#!/usr/bin/env bash
# Trains, or runs another program of several processes, on a Cloud TPU slice of any size, from one host to a pod.
#
#   launch/tpu_pod.sh create --name=pod --zone=us-west4-a --type=v5litepod-256 --version=v2-alpha-tpuv5-lite [--spot]
#   launch/tpu_pod.sh copy   --name=pod --zone=us-west4-a
#   launch/tpu_pod.sh start  --name=pod --zone=us-west4-a -- --config=configs/video.py:base --workdir=gs://BUCKET/video
#   launch/tpu_pod.sh follow --name=pod --zone=us-west4-a
#   launch/tpu_pod.sh stop   --name=pod --zone=us-west4-a
#   launch/tpu_pod.sh delete --name=pod --zone=us-west4-a
#
#   create   the slice; --spot: cheaper, and may be taken away at any time (then: create, copy and start again, and the run goes on)
#   copy     the last commit, onto every worker, and what it needs into a virtual environment there
#   start    launch/train.py with what follows `--` (or another program, named first: -- launch/encode.py …), on every worker, in
#            the background; started again whenever it ends with status 75 (see launch/train.py), until that comes within 15
#            minutes of a start 10 times in a row: another worker then has failed for good, as its log says
#            (gcloud … ssh NAME --worker=K)
#   follow   the log of the first worker, until Ctrl-C
#   stop     the program; a training saves first
#   delete   the slice, without asking
#
# --project=P where it is not gcloud's default; --dry-run prints the commands instead of running them. The work folder must be on
# gs://, which all workers see.
set -euo pipefail

usage() {
  sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
}

fail() {
  echo "error: $1" >&2
  exit 2
}

action=${1:-}
[ $# -gt 0 ] && shift
case $action in
  create | copy | start | follow | stop | delete) ;;
  -h | --help | help) usage && exit 0 ;;
  *) fail "'$action' is not an action: give create, copy, start, follow, stop or delete (--help says more)." ;;
esac

name='' zone='' type='' version='' project='' spot='' dry=''
while [ $# -gt 0 ]; do
  case $1 in
    --name=*) name=${1#*=} ;;
    --zone=*) zone=${1#*=} ;;
    --type=*) type=${1#*=} ;;
    --version=*) version=${1#*=} ;;
    --project=*) project=${1#*=} ;;
    --spot) spot=1 ;;
    --dry-run) dry=1 ;;
    --) shift && break ;;
    *) fail "$1 is not an option of tpu_pod.sh: what is for the program comes after --." ;;
  esac
  shift
done
[ -n "$name" ] || fail "give the slice a name: --name=NAME."
[ -n "$zone" ] || fail "say where the slice is: --zone=ZONE."

# A command as it can be typed.
show() {
  local word
  for word in "$@"; do
    [[ $word =~ ^[A-Za-z0-9_./:=@,+-]+$ ]] || word=${word@Q}
    printf '%s ' "$word"
  done | sed 's/ $//'
  echo
}

run() {
  if [ -n "$dry" ]; then
    show "$@"
  else
    "$@"
  fi
}

place=(--zone="$zone")
[ -z "$project" ] || place+=(--project="$project")

tpu() {
  local verb=$1
  shift
  run gcloud compute tpus tpu-vm "$verb" "$@" "${place[@]}"
}

everywhere() {
  tpu ssh "$name" --worker=all --command="$1"
}

create() {
  [ -n "$type" ] || fail "say which slice: --type=v5litepod-256, v5p-128, v6e-256, …"
  [ -n "$version" ] || fail "say which software: --version=v2-alpha-tpuv5-lite (v5e), v2-alpha-tpuv5 (v5p), v2-alpha-tpuv6e (v6e)."
  tpu create "$name" --accelerator-type="$type" --version="$version" ${spot:+--spot}
}

copy() {
  local archive=${TMPDIR:-/tmp}/xactor_jax.tar.gz
  run git -C "$(dirname "$0")/.." archive --format=tar.gz --output="$archive" HEAD
  tpu scp "$archive" "$name:xactor_jax.tar.gz" --worker=all
  everywhere "mkdir -p xactor_jax && tar -xzf xactor_jax.tar.gz -C xactor_jax && cd xactor_jax && \
python3 -m pip install -q --user uv && python3 -m uv venv -q --allow-existing --python 3.11 .venv && \
python3 -m uv pip install -q --python .venv/bin/python -r requirements.lock \"jax[tpu]==\$(sed -n 's/^jax==//p' requirements.lock)\""
}

# Every worker starts its part again after 75: all of them end together, and wait for each other when they start, which takes
# minutes where one has failed with another status and starts no more.
start() {
  local program=launch/train.py
  case ${1:-} in
    launch/*.py) program=$1 && shift ;;
  esac
  [ $# -gt 0 ] || fail "say what to run: launch/tpu_pod.sh start … -- --config=configs/video.py:base --workdir=gs://BUCKET/video"
  [[ " $*" =~ \ --(workdir|out)=gs:// ]] || fail "the workers share no disk: give --workdir=gs://BUCKET/FOLDER (or --out=)."
  local arguments loop
  arguments=$(show "$@")
  loop="short=0; while [ ! -e stopped ] && [ \$short -lt 10 ]; do SECONDS=0; \
.venv/bin/python $program $arguments & echo \$! > train.pid; wait \$!; status=\$?; \
[ \$status = 75 ] || break; [ \$SECONDS -lt 900 ] && short=\$((short + 1)) || short=0; done; \
echo ended with status \$status after \$short short starts in a row"
  everywhere "cd xactor_jax && rm -f stopped && \
{ XACTOR_JAX_PROCESSES=found nohup setsid bash -c ${loop@Q} >> train.log 2>&1 < /dev/null & }"
}

follow() {
  tpu ssh "$name" --worker=0 --command="tail -n 50 -F xactor_jax/train.log"
}

stop() {
  everywhere "cd xactor_jax && touch stopped && kill -TERM \$(cat train.pid)"
}

delete() {
  tpu delete "$name" --quiet
}

"$action" "$@"
