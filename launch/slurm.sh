#!/usr/bin/env bash
# Trains under SLURM, or runs another program of several processes: one process per GPU, or one per node.
#
#   launch/slurm.sh [--per=gpu|node] [--dry-run] [options of sbatch] -- [launch/PROGRAM.py] [its arguments]
#
#   launch/slurm.sh --nodes=4 --gpus-per-node=8 --time=12:00:00 -- --config=configs/video.py:base --workdir=/shared/video
#   launch/slurm.sh --nodes=1 --gpus-per-node=8 -- launch/encode.py --data=/shared/clips --out=/shared/encoded
#
# Without the name of a program it is launch/train.py.
#
# The job is sent a SIGTERM 5 minutes before its time is up (and by SLURM when it is preempted); training saves at the next step and
# ends with status 75, on which the job is put into the queue again, under the same number, and goes on. Encoding keeps what it has
# finished: submit it again. A job also goes on when a process was lost, 100 times at most (MAX_RESTARTS). An error
# that a restart would not put right (status 1 or 2 of any process, which is noted in slurm-JOB.failed) ends the job.
#
#   --per=gpu     a process for every GPU (default)      --per=node    one process with all GPUs of its node
#   --dry-run     print what would be run
#
# Output is in slurm-JOB.out. The work folder must be on a disk that all nodes see, or on gs://. PYTHON names the interpreter,
# .venv/bin/python of the folder from which the job is submitted by default.
set -euo pipefail

usage() {
  sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "$0"
}

fail() {
  echo "error: $1" >&2
  exit 2
}

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
  if [ -n "${dry:-}" ]; then
    show "$@"
  else
    "$@"
  fi
}

# On the login node: submits this file.
submit() {
  local per=gpu nodes=1 gpus='' options=()
  while [ $# -gt 0 ]; do
    case $1 in
      -h | --help) usage && exit 0 ;;
      --per=gpu | --per=node) per=${1#*=} ;;
      --per=*) fail "$1 is not known: give --per=gpu or --per=node." ;;
      --dry-run) dry=1 ;;
      --nodes=*) nodes=${1#*=} ;;
      --gpus-per-node=*) gpus=${1#*=} ;;
      --) shift && break ;;
      --config*) fail "$1 is for the program: put -- before it." ;;
      *) options+=("$1") ;;
    esac
    shift
  done
  [ $# -gt 0 ] || fail "say what to run after --, such as -- --config=configs/video.py:base --workdir=/shared/video"
  if [ -z "$gpus" ] && [ "$per" = gpu ]; then
    fail "say how many GPUs a node has: --gpus-per-node=8 (or --per=node where there are none)."
  fi
  [ "$per" = node ] && tasks=1 || tasks=$gpus
  options+=(--nodes="$nodes" --ntasks-per-node="$tasks")
  [ -z "$gpus" ] || options+=(--gpus-per-node="$gpus")
  run sbatch --job-name=xactor_jax --requeue --open-mode=append --signal=TERM@300 "${options[@]}" "$0" "$@"
  if [ -n "${dry:-}" ]; then
    SLURM_JOB_ID=JOB SLURM_NTASKS=$((nodes * tasks)) SLURM_NTASKS_PER_NODE=$tasks SLURM_GPUS_ON_NODE=$gpus job "$@"
  fi
}

# Inside the job: starts all processes, and queues the job again when they ask for it.
job() {
  local status=0 python=${PYTHON:-.venv/bin/python} program=launch/train.py
  case ${1:-} in
    launch/*.py) program=$1 && shift ;;
  esac
  [ -n "${dry:-}" ] || cd "$SLURM_SUBMIT_DIR"
  # JAX gives a process the one GPU of its number on the node unless it is told all of them.
  if [ "${SLURM_NTASKS_PER_NODE:-1}" = 1 ] && [ "${SLURM_GPUS_ON_NODE:-0}" -gt 1 ]; then
    run export JAX_LOCAL_DEVICE_IDS="$(seq -s, 0 $((SLURM_GPUS_ON_NODE - 1)))"
  fi
  local failed=slurm-$SLURM_JOB_ID.failed
  [ -n "${dry:-}" ] || rm -f "$failed"
  run srun --kill-on-bad-exit=0 launch/slurm.sh --task "$failed" "$python" "$program" "$@" || status=$?
  # srun tells the highest status: when a process fails, that of the others, which are lost without it.
  [ ! -s "$failed" ] || status=$(head -n 1 "$failed")
  if [ -n "${dry:-}" ]; then
    echo "# status 75:"
    run scontrol requeue "$SLURM_JOB_ID"
  elif [ "$status" = 75 ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "${MAX_RESTARTS:-100}" ]; then
    scontrol requeue "$SLURM_JOB_ID"
  fi
  return "$status"
}

# One process; notes the status of an error in a file. SLURM signals both: this one waits for what the other says.
task() {
  local failed=$1 status=0
  shift
  trap : TERM INT
  "$@" || status=$?
  case $status in
    1 | 2) echo "$status" >> "$failed" ;;
  esac
  return "$status"
}

if [ "${1:-}" = --task ]; then
  shift && task "$@"
elif [ -n "${SLURM_JOB_ID:-}" ] && [ -n "${SLURM_SUBMIT_DIR:-}" ] && [ "${1:-}" != --dry-run ]; then
  job "$@"
else
  submit "$@"
fi
