#!/bin/sh
# shellcheck disable=SC2119,SC2154,SC2034
# From a counter in a folder to joules on the board: a package that draws 100 W, whoever looks at it and when.
. tests/e2e/lib.sh
command -v python3 >/dev/null || { echo "skip: python3 not found"; exit 77; }

zone=$state/powercap/intel-rapl:0
mkdir -p "$zone"
echo package-0 >"$zone/name"
echo 262143328850 >"$zone/max_energy_range_uj"
echo 0 >"$zone/energy_uj"
# In place, as the kernel's file is: the node keeps it open.
python3 - "$zone/energy_uj" <<'PYTHON' &
import os, sys, time
file = os.open(sys.argv[1], os.O_WRONLY)
start = time.monotonic()
while True:
    os.pwrite(file, b"%020d\n" % int((time.monotonic() - start) * 100e6), 0)
    time.sleep(0.002)
PYTHON
companions=$!

export MOECAP_INFERENCE_POWER_RAPL="$state/powercap" MOECAP_INFERENCE_POWER_NVML=
MOECAP_NULL_DELAY_US=20000 start_suite

expect 0 moecap node list
says rapl
says 'by nvml: power_nvml is empty'

# about NAME EXPECTED: a figure of the run is within a tenth of it
about() {
    value=$(figure "$run" "$1")
    [ -n "$value" ] || fail "$1 is unknown: $(why_unknown "$run" "$1")"
    awk -v v="$value" -v e="$2" 'BEGIN { exit !(v > e * 0.9 && v < e * 1.1) }' || fail "$1 is $value, not about $2"
}

expect 0 moecap submit --engine null --model none --task gsm-mini --limit 16 --batch-size 2 --watch
run=$(run_ids "$(moecap board --json | tr '{' '\n' | sed -n 's/.*"evaluation_id":"\([^"]*\)".*/\1/p' | head -1)")
about power_w_mean 100
about power_w_idle 100
wall=$(figure "$run" wall_s)
about energy_j "$(awk -v w="$wall" 'BEGIN { print w * 100 }')"
about j_per_request "$(awk -v w="$wall" 'BEGIN { print w * 100 / 16 }')"
[ -z "$(figure "$run" energy_j_gpu)" ] || fail "a GPU took part"
[ "$(why_unknown "$run" energy_j_dram)" = "rapl tells nothing of it here" ] || fail "$(why_unknown "$run" energy_j_dram)"
expect 0 moecap run show "$run"
says 'energy      package-0: '
says 'energy      dram: unknown: rapl tells nothing of it here'
says 'energy-in-part'
moecap down >/dev/null

# and a machine of which nobody tells
MOECAP_INFERENCE_POWER_RAPL=$state/none start_suite
expect 0 moecap submit --engine null --model none --task gsm-mini --limit 4 --watch
run=$(run_ids "$(moecap board --json | tr '{' '\n' | sed -n 's/.*"evaluation_id":"\([^"]*\)".*/\1/p' | head -1)")
[ -z "$(figure "$run" energy_j)" ] || fail "energy came from nowhere"
case $(why_unknown "$run" energy_j) in
"no RAPL at $state/none: "*) ;;
*) fail "the reason is: $(why_unknown "$run" energy_j)" ;;
esac
