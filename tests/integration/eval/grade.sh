#!/bin/sh
# moecap-evaluator grade as its users see it: lines in, verdicts out, sentences and exit statuses.
set -u
evaluator=${MOECAP_BIN_DIR:?}/moecap-evaluator
cd "${MOECAP_SOURCE_DIR:?}" || exit 1
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
bad=0

# case NAME STATUS ARGUMENTS...: standard input is given; leaves $out/out and $out/err
run() {
    name=$1 expected=$2
    shift 2
    "$evaluator" grade "$@" >"$out/out" 2>"$out/err"
    status=$?
    [ "$status" = "$expected" ] || { echo "$name: status $status, expected $expected"; cat "$out/err"; bad=1; }
}
gives() { # NAME LINE: the output has that line
    grep -qxF -e "$2" "$out/out" || { echo "$1: no line $2 in:"; cat "$out/out"; bad=1; }
}
says() { # NAME TEXT: standard error has that text
    grep -qF -e "$2" "$out/err" || { echo "$1: standard error lacks \"$2\":"; cat "$out/err"; bad=1; }
}

printf '%s\n' '{"id": 1, "text": "so #### 18", "gold": "18"}' \
    '{"id": "b", "text": "it is 1,800.", "gold": "x\n#### 1800"}' >"$out/in"
run strict 0 gsm8k <"$out/in"
gives strict '{"id":1,"verdict":"correct","extracted":"18","reason":""}'
gives strict '{"id":"b","verdict":"wrong","extracted":"[invalid]","reason":"no answer found","unanswered":true}'

printf '%s\n' '{"id": "b", "text": "it is 1,800.", "gold": 1800}' >"$out/in"
run flexible 0 gsm8k --filter flexible-extract <"$out/in"
gives flexible '{"id":"b","verdict":"correct","extracted":"1,800.","reason":""}'

printf '%s\n' '{"id": 1, "scores": [-3, -0.5, -2, -9], "gold": 1}' '{"id": 2, "scores": [-3, -0.5, -2, -9], "gold": "D"}' >"$out/in"
run choices 0 choice-mini <"$out/in"
gives choices '{"id":1,"verdict":"correct","extracted":"B","reason":""}'
gives choices '{"id":2,"verdict":"wrong","extracted":"B","reason":"differs from the reference"}'

printf '%s\n' '{"id": 1, "scores": [-8, -7], "choices": ["yes", "no"], "gold": 0}' >"$out/in"
run norm 0 choices --filter acc_norm <"$out/in"
gives norm '{"id":1,"verdict":"correct","extracted":"A","reason":""}'

printf '%s\n' '{"id": 1, "text": " C. because", "gold": 2}' '{"id": 2, "text": "The answer is (B)", "gold": "B"}' >"$out/in"
run letter 0 choice-mini-letter <"$out/in"
gives letter '{"id":1,"verdict":"correct","extracted":"C","reason":""}'
gives letter '{"id":2,"verdict":"correct","extracted":"B","reason":""}'

printf '%s\n' '{"id": 1, "texts": ["#### 5", "#### 7", "#### 7"], "gold": "5"}' >"$out/in"
run several 0 gsm8k-strict <"$out/in"
gives several '{"id":1,"verdict":"correct","extracted":"5","reason":""}'

printf '%s\n' '{"id": 1, "text": "#### 6\n\nQuestion: 99", "gold": "6"}' >"$out/in"
run cut 0 gsm8k --filter flexible-extract --cut <"$out/in"
gives cut '{"id":1,"verdict":"correct","extracted":"6","reason":""}'

printf '%s\n' '{"id": 1, "text": null, "gold": "6", "finish_reason": "length"}' '{"id": 2, "error": "timed out", "gold": "6"}' >"$out/in"
run nothing 0 gsm8k <"$out/in"
gives nothing '{"id":1,"verdict":"wrong","extracted":"[invalid]","reason":"no answer found before the token limit","unanswered":true,"truncated":true}'
gives nothing '{"id":2,"verdict":"wrong","extracted":"","reason":"request failed: timed out"}'

# A bad line is named, the others are graded.
printf '%s\n' '{"id": 1, "text": "#### 1", "gold": "1"}' 'oops' '' '{"id": 2, "text": "#### 1"}' '[3]' \
    '{"id": 4, "gold": "1"}' '{"id": 5, "text": "#### 1", "gold": "1"}' >"$out/in"
run bad_lines 1 gsm8k <"$out/in"
gives bad_lines '{"id":1,"verdict":"correct","extracted":"1","reason":""}'
gives bad_lines '{"id":5,"verdict":"correct","extracted":"1","reason":""}'
says bad_lines 'grade: line 2: not JSON'
says bad_lines 'grade: line 4: there is no "gold"'
says bad_lines 'grade: line 5: the document is not a JSON object'
says bad_lines 'grade: line 6: there is no "text"'
says bad_lines 'grade: 4 of 7 lines could not be graded'

printf '%s\n' '{"id": 1, "scores": [-1, -2, -3, -4], "gold": 7}' >"$out/in"
run bad_gold 1 choice-mini <"$out/in"
says bad_gold 'grade: line 1: the right answer "7" is none of the 4 choices'

run unknown 3 gsm9k </dev/null
says unknown 'there is no task and no grader "gsm9k"'
run filter 3 gsm8k --filter loose </dev/null
says filter '"gsm8k" has no filter "loose"; it has exact_match,strict-match, exact_match,flexible-extract'
run flag 2 gsm8k --fast </dev/null
says flag 'unknown flag "--fast"'
run none 2 </dev/null
says none 'name a task or a grader'
run empty 0 gsm8k </dev/null
run help 0 --help </dev/null
gives help '  gsm8k-strict       the number after the first ####, as lm-eval'\''s strict-match'

exit $bad
