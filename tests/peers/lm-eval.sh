# shellcheck shell=sh disable=SC2034,SC2154
# EleutherAI's harness against our endpoint: its prompts, its tokenizer, its graders, sample by sample ours.
peer_title="lm-evaluation-harness"
peer_package=lm_eval
peer_disk_mb=950
peer_packages() {
    echo "lm_eval[api]==0.4.13"
    echo "transformers==5.24.0" # its tokenizers only; the extra leaves it out
}

# Our own task files are lm-eval's but for the two lines that say where the rows are.
lm_eval_task() { # NAME, task file, rows, few-shot rows, further lines
    {
        grep -vE '^(task|samples_file|fewshot_file|num_fewshot):' "$2"
        printf 'task: %s\n%s\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: %s\n    train: %s\n' \
            "$1" "$5" "$3" "$4"
    } >"$work/$1.yaml"
}

lm_eval() { # MODEL KIND, path, task, further arguments
    kind=$1 path=$2 task=$3
    shift 3
    (cd "$work" && TQDM_DISABLE=1 HF_HOME=$work/hf HF_HUB_OFFLINE=1 HF_DATASETS_OFFLINE=1 "$venv/bin/lm_eval" run --model "$kind" \
        --tasks "$task" --include_path . --output_path "out-$task" --log_samples --limit "$limit" --model_args \
        "model=moecap-tiny,base_url=$our_url/v1/$path,tokenizer=$model,tokenizer_backend=huggingface,num_concurrent=4,max_length=1024" \
        "$@") >"$state/lm-eval.log" 2>&1
}

# agrees TASK OPTIONS OF OUR SUBMISSION...: the harness's samples of TASK are those of our own run.
agrees() {
    task=$1
    shift
    evaluate "$work/$task.jsonl" --engine native --model moecap-tiny --batch-size 4 --limit "$limit" \
        --note "for $task" "$@" &&
        "$python" "$here/lm_eval_compare.py" "$task" "$work/$task.jsonl" "$work/out-$task"/*/samples_"$task"_*.jsonl
}

peer_check() {
    work=$state/lm-eval
    mkdir -p "$work"
    tasks=$root/tasks
    for shots in 0 3; do
        lm_eval_task gsm-mini-$shots "$tasks/gsm-mini.yaml" "$tasks/gsm-mini.jsonl" \
            "$tasks/gsm-mini.train_shots.jsonl" "num_fewshot: $shots"
    done
    sed 's/^task: .*/task: gsm-mini-chat/' "$work/gsm-mini-0.yaml" >"$work/gsm-mini-chat.yaml"
    lm_eval_task choice-mini-0 "$tasks/choice-mini.yaml" "$tasks/choice-mini.jsonl" \
        "$tasks/choice-mini.train_shots.jsonl" 'num_fewshot: 0'
    lm_eval local-completions completions gsm-mini-0 && agrees gsm-mini-0 --task gsm-mini &&
        lm_eval local-completions completions gsm-mini-3 && agrees gsm-mini-3 --task gsm-mini --num-fewshot 3 &&
        lm_eval local-completions completions choice-mini-0 && agrees choice-mini-0 --task choice-mini &&
        lm_eval local-chat-completions chat/completions gsm-mini-chat --apply_chat_template &&
        agrees gsm-mini-chat --task gsm-mini --chat && check_gsm8k
}

# GSM8K itself, where its rows are at hand; without examples, since five do not fit into the model's context.
check_gsm8k() {
    rows=${MOECAP_SHARED:-../shared}/data/graders
    [ -f "$rows/gsm8k_test.jsonl" ] || { say "lm-eval: gsm8k left out: no $rows/gsm8k_test.jsonl; set MOECAP_SHARED"; return 0; }
    moecap task add "$root/tasks/gsm8k.yaml" --data "$rows/gsm8k_test.jsonl" --fewshot "$rows/gsm8k_train_200.jsonl" \
        >/dev/null || return 1
    rows=$(cd "$rows" && pwd)
    limit=1319
    lm_eval_task gsm8k-0 "$root/tasks/gsm8k.yaml" "$rows/gsm8k_test.jsonl" "$rows/gsm8k_train_200.jsonl" 'num_fewshot: 0'
    lm_eval local-completions completions gsm8k-0 && agrees gsm8k-0 --task gsm8k --num-fewshot 0
}
