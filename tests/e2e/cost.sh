#!/bin/sh
# shellcheck disable=SC2119
# What a run costs: as it was submitted, as it is stored, and with other prices, without running it again.
. tests/e2e/lib.sh
start_suite

value() { # a figure of the JSON that the last `expect` said
    echo "$out" | tr '{' '\n' | sed -n "s/.*\"id\":\"$1\".*\"value\":\([-0-9.eE+]*\).*/\1/p"
}
plan_hash() {
    moecap submit --engine null --model none --task gsm-mini --limit 20 --dry-run --json "$@" |
        sed -n 's/.*"config_hash":"\([^"]*\)".*/\1/p'
}

# prices are no part of the question
hash=$(plan_hash)
[ -n "$hash" ] || fail "a plan has no hash"
[ "$hash" = "$(plan_hash --rent 2 --tariff 0.3)" ] || fail "a price changes the config hash"

id=$(moecap submit --engine null --model none --task gsm-mini --limit 20 --batch-size 4 --rent 3.6 --quiet)
moecap watch "$id" >/dev/null
run=$(run_ids "$id")
case $(figure "$run" cost_per_hour) in 3.6*) ;; *) fail "an hour costs $(figure "$run" cost_per_hour), not the rent" ;; esac
stored=$(figure "$run" run_cost)
[ -n "$stored" ] || fail "the run has no cost: $(why_unknown "$run" run_cost)"
expect 0 moecap run show "$run"
says ', rented, rent 3.6 USD/h (declared)'
moecap run export "$run" | grep -q '"terms"' || fail "the export does not say what the cost was counted with"

# other prices, the same run
expect 0 moecap cost "$run" --rent 7.2
out=$(echo "$out" | tr -s ' ')
says ' rent 7.2 USD/h given'
says ' cost_per_hour 7.2 USD/h declared'
says '(without effect)'
expect 0 moecap cost "$run" --json
[ "$(value run_cost)" = "$stored" ] || fail "as submitted it costs $(value run_cost), stored is $stored"
expect 0 moecap cost "$run" --json --rent 7.2
case $(value cost_per_hour) in 7.2*) ;; *) fail "an hour costs $(value cost_per_hour), not 7.2" ;; esac
# TEASBench's machine: 7.9596 USD an hour
expect 0 moecap cost "$run" --defaults --json --price 216000 --device-watts 5600 --host-price 14428 --host-watts 700
case $(value cost_per_hour) in 7.9595*) ;; *) fail "TEASBench's machine costs $(value cost_per_hour) an hour" ;; esac
expect 0 moecap cost "$run" --defaults --json # a machine of the table has a price
[ -n "$(value cost_per_hour)" ] || says 'give --price or --rent'
[ "$(figure "$run" run_cost)" = "$stored" ] || fail "pricing a run again changed it"

# what is wrong is named by its option
expect 3 moecap cost "$run" --pue 0.5 --utilisation 0
says '--pue 0.5 is not from 1 to 10'
says '--utilisation 0 is not above 0 and up to 1'
expect 2 moecap cost "$run" --rent cheap
says '--rent "cheap" is not a number above 0'
expect 3 moecap cost run-none
says 'run "run-none" does not exist'
