# bash completion of moecap; made from its table of commands
_moecap() {
    local word=${COMP_WORDS[COMP_CWORD]} first=${COMP_WORDS[1]} second=${COMP_WORDS[2]}
    local globals="--server --state --json --help "
    case "$first $second" in
    "up"*) COMPREPLY=($(compgen -f -W "$globals --detach --nodes --models --any-model-path --postgres --ports --port-base --openai-port --tasks --no-tasks --log " -- "$word")) ;;
    "down"*) COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "status"*) COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "submit"*) COMPREPLY=($(compgen -f -W "$globals --model --task --engine --precision --batch-size --rate --limit --sampling --num-fewshot --max-tokens --temperature --top-p --top-k --ignore-eos --seed --repeats --chat --priority --submitter --note --revision --hardware --device --tensor-parallel --pipeline-parallel --data-parallel --expert-parallel --url --served-model --model-config --api-key-env --dry-run --watch --quiet " -- "$word")) ;;
    "watch"*) COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "cancel"*) COMPREPLY=($(compgen -f -W "$globals --reason " -- "$word")) ;;
    "queue"*) COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "board"*) COMPREPLY=($(compgen -f -W "$globals --model --task --engine --evaluation --all --limit --csv " -- "$word")) ;;
    "run show") COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "run export") COMPREPLY=($(compgen -f -W "$globals --csv --no-samples " -- "$word")) ;;
    "task list") COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "task show") COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "task add") COMPREPLY=($(compgen -f -W "$globals --data --fewshot " -- "$word")) ;;
    "node list") COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "model"*) COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "tokenize"*) COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "grade"*) COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "admin config") COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "admin metrics") COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "admin log") COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "version"*) COMPREPLY=($(compgen -f -W "$globals " -- "$word")) ;;
    "help"*) COMPREPLY=($(compgen -f -W "$globals --markdown --man --bash-completion " -- "$word")) ;;
    *) COMPREPLY=($(compgen -W "$globals up down status submit watch cancel queue board run show run export task list task show task add node list model tokenize grade admin config admin metrics admin log version help " -- "$word")) ;;
    esac
}
complete -F _moecap moecap
