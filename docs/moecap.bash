# bash completion of moecap; made from its table of commands
_moecap() {
    local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}
    local globals="--server --state --json --help" words= files= i names=()
    case $previous in
    --= | --state | --models | --tasks | --model | --model-config | --data | --fewshot) COMPREPLY=($(compgen -f -- "$word")); return ;;
    --= | --server | --nodes | --postgres | --port-base | --openai-port | --log | --task | --engine | --precision | --batch-size | --rate | --limit | --sampling | --num-fewshot | --max-tokens | --temperature | --top-p | --top-k | --seed | --repeats | --priority | --submitter | --note | --revision | --hardware | --device-count | --tensor-parallel | --pipeline-parallel | --data-parallel | --expert-parallel | --url | --served-model | --api-key-env | --reason | --model | --task | --engine | --evaluation | --limit | --verdict | --limit | --after) COMPREPLY=(); return ;;
    --ports) COMPREPLY=($(compgen -W "default auto" -- "$word")); return ;;
    --device) COMPREPLY=($(compgen -W "cpu cuda" -- "$word")); return ;;
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
    "submit"\ *) words="$globals --model --task --engine --precision --batch-size --rate --limit --sampling --num-fewshot --max-tokens --temperature --top-p --top-k --ignore-eos --seed --repeats --chat --priority --submitter --note --revision --hardware --device --device-count --tensor-parallel --pipeline-parallel --data-parallel --expert-parallel --url --served-model --model-config --api-key-env --dry-run --watch --quiet" ;;
    "watch"\ *) words="$globals" ;;
    "cancel"\ *) words="$globals --reason" ;;
    "queue"\ *) words="$globals" ;;
    "board"\ *) words="$globals --model --task --engine --evaluation --all --limit --csv" ;;
    "run show") words="$globals" ;;
    "run samples") words="$globals --verdict --limit --after" ;;
    "run export") words="$globals --csv --no-samples" ;;
    "task list") words="$globals" ;;
    "task show") words="$globals" ;;
    "task add") words="$globals --data --fewshot"; files=-f ;;
    "node list") words="$globals" ;;
    "model"\ *) words="$globals"; files=-f ;;
    "engine"\ *) words="$globals" ;;
    "tokenize"\ *) words="$globals"; files=-f ;;
    "grade"\ *) words="$globals" ;;
    "admin config") words="$globals" ;;
    "admin metrics") words="$globals" ;;
    "admin log") words="$globals" ;;
    "version"\ *) words="$globals" ;;
    "help"\ *) words="$globals --markdown --man --bash-completion" ;;
    "run "*) words="show samples export " ;;
    "task "*) words="list show add " ;;
    "node "*) words="list " ;;
    "admin "*) words="config metrics log " ;;
    *) words="$globals --version up down status submit watch cancel queue board run task node model engine tokenize grade admin version help" ;;
    esac
    COMPREPLY=($(compgen $files -W "$words" -- "$word"))
}
complete -o filenames -F _moecap moecap
