# bash completion of moecap; made from its table of commands
_moecap_tasks() { moecap task list 2>/dev/null | awk 'NR > 1 { print $1 }'; }
_moecap_models() {
    moecap node list 2>/dev/null |
        awk -F '  +' 'NR > 1 && NF > 4 { print $4 }' | tr , '\n'
}
_moecap_runs() {
    moecap board --all --limit 100 --csv 2>/dev/null | cut -d, -f"$1" |
        tr , '\n' | grep -E '^(run|eval)-' | sort -u
}
_moecap() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local globals="--server --state --json --help" words= files= i names=()
    case $previous in
    --engine) COMPREPLY=($(compgen -W "native null openai vllm sglang transformers accelerate ktransformers moe-infinity moe-gen llamacpp tensorrt-llm" -- "$word")); return ;;
    --precision) COMPREPLY=($(compgen -W "f32 f16 bf16 int8 int4 fp8 fp4 mxfp4 nvfp4" -- "$word")); return ;;
    --task) COMPREPLY=($(compgen -W "$(_moecap_tasks)" -- "$word")); return ;;
    --model) COMPREPLY=($(compgen -f -W "$(_moecap_models)" -- "$word")); return ;;
    --= | --state | --models | --tasks | --model | --replay | --model-config | --activation-profile | --replay | --data | --fewshot | --model | --model | --output | --data | --fewshot | --tasks | --output) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --= | --server | --nodes | --postgres | --port-base | --openai-port | --log | --task | --engine | --precision | --batch-size | --rate | --burstiness | --ramp-to | --ramp-s | --input-tokens | --output-tokens | --slo-ttft | --slo-tpot | --slo-e2e | --limit | --sampling | --num-fewshot | --max-tokens | --temperature | --top-p | --top-k | --seed | --repeats | --priority | --submitter | --note | --revision | --hardware | --peak-bandwidth | --peak-flops | --device-count | --tensor-parallel | --pipeline-parallel | --data-parallel | --expert-parallel | --url | --served-model | --api-key-env | --rent | --price | --device-watts | --lifetime-hours | --utilisation | --overhead | --pue | --tariff | --host-price | --host-watts | --sweep | --search | --slo | --attain | --rate | --burstiness | --ramp-to | --ramp-s | --seed | --requests | --reason | --model | --task | --engine | --precision | --evaluation | --limit | --limit | --after | --rent | --price | --device-watts | --lifetime-hours | --utilisation | --overhead | --pue | --tariff | --host-price | --host-watts | --hardware | --batch | --context | --cached | --activated | --step-time | --precision | --cache-precision | --tp | --peak-bandwidth | --peak-flops | --task | --batch-size | --limit | --tp | --name | --precision | --threads | --num-fewshot | --title) COMPREPLY=(); return ;;
    --ports) COMPREPLY=($(compgen -W "default auto" -- "$word")); return ;;
    --arrivals) COMPREPLY=($(compgen -W "poisson constant gamma" -- "$word")); return ;;
    --device) COMPREPLY=($(compgen -W "cpu cuda" -- "$word")); return ;;
    --arrivals) COMPREPLY=($(compgen -W "poisson constant gamma" -- "$word")); return ;;
    --verdict) COMPREPLY=($(compgen -W "correct wrong undecided" -- "$word")); return ;;
    --phase) COMPREPLY=($(compgen -W "decode prefill" -- "$word")); return ;;
    --mla) COMPREPLY=($(compgen -W "expanded absorbed" -- "$word")); return ;;
    --format) COMPREPLY=($(compgen -W "svg png pdf" -- "$word")); return ;;
    --theme) COMPREPLY=($(compgen -W "light dark contrast" -- "$word")); return ;;
    --phase) COMPREPLY=($(compgen -W "prefill decode" -- "$word")); return ;;
    --metric) COMPREPLY=($(compgen -W "ttft tpot itl e2e" -- "$word")); return ;;
    esac
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        --server | --state) i=$((i + 1)) ;;
        -*) ;;
        *) names+=("${COMP_WORDS[i]}") ;;
        esac
    done
    case "${names[0]} ${names[1]}" in
    "up"\ *) words="$globals --detach --nodes --models --any-model-path --postgres --ports --port-base --openai-port --tasks --no-tasks --log" ;;
    "down"\ *) words="$globals" ;;
    "status"\ *) words="$globals" ;;
    "submit"\ *) words="$globals --model --task --engine --precision --batch-size --rate --arrivals --burstiness --ramp-to --ramp-s --replay --input-tokens --output-tokens --slo-ttft --slo-tpot --slo-e2e --limit --sampling --num-fewshot --max-tokens --temperature --top-p --top-k --ignore-eos --seed --repeats --chat --priority --submitter --note --revision --hardware --peak-bandwidth --peak-flops --device --device-count --tensor-parallel --pipeline-parallel --data-parallel --expert-parallel --url --served-model --model-config --activation-profile --api-key-env --no-audit --rent --price --device-watts --lifetime-hours --utilisation --overhead --pue --tariff --host-price --host-watts --sweep --search --slo --dry-run --watch --quiet" ;;
    "sweep"\ *) words="$globals --attain" ;;
    "load"\ *) words="$globals --rate --arrivals --burstiness --ramp-to --ramp-s --replay --seed --requests" ;;
    "watch"\ *) words="$globals $(_moecap_runs 1,2)" ;;
    "cancel"\ *) words="$globals --reason $(_moecap_runs 1,2)" ;;
    "queue"\ *) words="$globals" ;;
    "board"\ *) words="$globals --model --task --engine --precision --evaluation --all --limit --csv" ;;
    "run show") words="$globals $(_moecap_runs 1)" ;;
    "run samples") words="$globals --verdict --limit --after $(_moecap_runs 1)" ;;
    "run export") words="$globals --csv --no-samples $(_moecap_runs 1)" ;;
    "routing"\ *) words="$globals --same-model $(_moecap_runs 1)" ;;
    "cost"\ *) words="$globals --rent --price --device-watts --lifetime-hours --utilisation --overhead --pue --tariff --host-price --host-watts --defaults $(_moecap_runs 1)" ;;
    "compare"\ *) words="$globals $(_moecap_runs 1)" ;;
    "repeats"\ *) words="$globals" ;;
    "task list") words="$globals" ;;
    "task show") words="$globals $(_moecap_tasks)" ;;
    "task add") words="$globals --data --fewshot"; files=-f ;;
    "node list") words="$globals" ;;
    "node probe") words="--help --json" ;;
    "hardware"\ *) words="$globals" ;;
    "estimate"\ *) words="$globals --model --hardware --batch --context --phase --cached --activated --step-time --precision --cache-precision --tp --mla --peak-bandwidth --peak-flops" ;;
    "model ") words="--help inspect forward serve" ;;
    "model"\ *) words="--help --json"; files=-f ;;
    "engine ") words="--help check" ;;
    "engine"\ *) words="--help --json" ;;
    "tokenize"\ *) words="--help --json"; files=-f ;;
    "profile"\ *) words="$globals --model --task --batch-size --limit --tp --output --name --precision --threads --num-fewshot --chat --data --fewshot --tasks" ;;
    "plot"\ *) words="$globals --output --format --theme --title --absolute --sorted --phase --metric --relative $(_moecap_runs 1)"; files=-f ;;
    "render"\ *) words="--help --json $(_moecap_tasks)" ;;
    "grade"\ *) words="--help --json" ;;
    "admin config") words="$globals scheduler store evaluator node-1" ;;
    "admin metrics") words="$globals scheduler store evaluator node-1" ;;
    "admin log") words="$globals scheduler store evaluator node-1" ;;
    "version"\ *) words="$globals" ;;
    "help"\ *) words="$globals --markdown --man --bash-completion up down status submit sweep load watch cancel queue board run show run samples run export routing cost compare repeats task list task show task add node list node probe hardware estimate model engine tokenize profile plot render grade admin config admin metrics admin log version help" ;;
    "run "*) words="show samples export " ;;
    "task "*) words="list show add " ;;
    "node "*) words="list probe " ;;
    "admin "*) words="config metrics log " ;;
    *) words="$globals --version up down status submit sweep load watch cancel queue board run routing cost compare repeats task node hardware estimate model engine tokenize profile plot render grade admin version help" ;;
    esac
    COMPREPLY=($(compgen $files -W "$words" -- "$word"))
}
complete -o filenames -F _moecap moecap
