// Made from the tables by `tools/generate-docs.sh`; do not edit.
export const tables = {
 "run_states": [
  "queued",
  "leased",
  "running",
  "grading",
  "finished",
  "failed",
  "cancelled",
  "invalid"
 ],
 "phases": [
  "prefill",
  "decode"
 ],
 "verdict_kinds": [
  "correct",
  "wrong",
  "undecided"
 ],
 "precisions": [
  "f32",
  "f16",
  "bf16",
  "int8",
  "int4",
  "fp8",
  "fp4",
  "mxfp4",
  "nvfp4"
 ],
 "engines": [
  {"word": "native", "server": false, "started": false, "about": "our own engine, in the node"},
  {"word": "null", "server": false, "started": false, "about": "no model, for tests of the suite"},
  {"word": "openai", "server": true, "started": false, "about": "any server with OpenAI's API"},
  {"word": "vllm", "server": true, "started": false, "about": "vLLM"},
  {"word": "sglang", "server": true, "started": false, "about": "SGLang"},
  {"word": "transformers", "server": true, "started": false, "about": "transformers serve"},
  {"word": "accelerate", "server": true, "started": false, "about": "Hugging Face Accelerate behind OpenAI's API"},
  {"word": "ktransformers", "server": true, "started": true, "about": "KTransformers"},
  {"word": "moe-infinity", "server": true, "started": true, "about": "MoE-Infinity"},
  {"word": "moe-gen", "server": true, "started": true, "about": "MoE-Gen"},
  {"word": "llamacpp", "server": true, "started": false, "about": "llama.cpp's llama-server"},
  {"word": "tensorrt-llm", "server": true, "started": true, "about": "TensorRT-LLM"}
 ],
 "groups": [
  "Model and engine",
  "Tasks",
  "Load",
  "Samples and prompts",
  "Generation",
  "Machine",
  "Metadata"
 ],
 "knobs": [
  {"id": "model", "path": "model", "kind": "name", "flag": "model", "label": "Model", "help": "model that a node offers, or a directory on the node", "unset": "required", "group": "Model and engine", "example": "moecap-tiny", "min": 0, "max": 512, "hashed": true},
  {"id": "tasks", "path": "tasks", "kind": "list", "flag": "task", "label": "Tasks", "help": "task to run; repeat it, or write commas: a,b", "unset": "required", "group": "Tasks", "example": "gsm-mini", "min": 0, "max": 64, "hashed": true},
  {"id": "engine", "path": "engine", "kind": "name", "flag": "engine", "label": "Engine", "help": "native, null, or a server: vllm, sglang, openai, ...", "unset": "native", "group": "Model and engine", "example": "vllm", "preset": "native", "min": 0, "max": 64, "words": ["native", "null", "openai", "vllm", "sglang", "transformers", "accelerate", "ktransformers", "moe-infinity", "moe-gen", "llamacpp", "tensorrt-llm"], "hashed": true},
  {"id": "precision", "path": "precision", "kind": "name", "flag": "precision", "label": "Precision", "help": "bf16, int8 or f32; of a server, as it says", "unset": "bf16", "group": "Model and engine", "example": "int8", "preset": "bf16", "min": 0, "max": 32, "words": ["f32", "bf16", "int8"], "words_when": "native", "hashed": true},
  {"id": "concurrency", "path": "load.concurrency", "kind": "whole", "flag": "batch-size", "label": "Batch size", "help": "requests in flight, closed loop", "unset": "1", "group": "Load", "unit": "requests", "example": "4", "when": "closed_loop", "preset": "1", "range": "1 to 4096", "min": 1, "max": 4096, "tells_zero": true, "hashed": true},
  {"id": "rate", "path": "load.rate_per_s", "kind": "real", "flag": "rate", "label": "Requests a second", "help": "instead: Poisson arrivals, R requests a second", "unset": "off", "group": "Load", "unit": "requests/s", "example": "2.5", "when": "open_loop", "range": "1e-06 to 1000000", "low": 1e-6, "high": 1000000.0, "tells_zero": true, "hashed": true},
  {"id": "limit", "path": "limit", "kind": "whole", "flag": "limit", "label": "First N samples", "help": "only the first N samples", "unset": "0 = all", "group": "Samples and prompts", "unit": "samples", "example": "100", "range": "0 to 4294967295", "min": 0, "max": 4294967295, "hashed": true},
  {"id": "sampling", "path": "sampling", "kind": "real", "flag": "sampling", "label": "Random share", "help": "a random share of the samples, drawn by the seed", "unset": "all", "group": "Samples and prompts", "unit": "share", "example": "0.25", "range": "above 0, up to 1", "low": 0.0, "high": 1.0, "above_low": true, "tells_zero": true, "hashed": true},
  {"id": "fewshot", "path": "num_fewshot", "kind": "whole", "flag": "num-fewshot", "label": "Few-shot examples", "help": "few-shot examples in front of the question", "unset": "task default", "group": "Samples and prompts", "unit": "examples", "example": "3", "range": "0 to 64", "min": 0, "max": 64, "tells_zero": true, "hashed": true},
  {"id": "max_tokens", "path": "generation.max_tokens", "kind": "whole", "flag": "max-tokens", "label": "Max tokens", "help": "most tokens of an answer", "unset": "0 = task default", "group": "Generation", "unit": "tokens", "example": "512", "range": "0 to 1048576", "min": 0, "max": 1048576, "hashed": true},
  {"id": "temperature", "path": "generation.temperature", "kind": "real", "flag": "temperature", "label": "Temperature", "help": "0 is greedy, always the likeliest token", "unset": "task default", "group": "Generation", "example": "0.8", "range": "0 to 100", "low": 0.0, "high": 100.0, "tells_zero": true, "hashed": true},
  {"id": "top_p", "path": "generation.top_p", "kind": "real", "flag": "top-p", "label": "Top p", "help": "sample among the likeliest tokens of this share", "unset": "off", "group": "Generation", "example": "0.95", "range": "1e-06 to 1", "low": 1e-6, "high": 1.0, "tells_zero": true, "hashed": true},
  {"id": "top_k", "path": "generation.top_k", "kind": "whole", "flag": "top-k", "label": "Top k", "help": "sample among the K likeliest tokens", "unset": "0 = off", "group": "Generation", "example": "40", "range": "0 to 1000000", "min": 0, "max": 1000000, "hashed": true},
  {"id": "ignore_eos", "path": "generation.ignore_eos", "kind": "switch", "flag": "ignore-eos", "label": "Ignore end-of-sequence", "help": "always generate the longest answer", "unset": "off", "group": "Generation", "hashed": true},
  {"id": "seed", "path": "seed", "kind": "whole", "flag": "seed", "label": "Seed", "help": "seeds sampling, few-shot choice and token sampling", "unset": "0", "group": "Samples and prompts", "example": "42", "range": "0 to 9223372036854775807", "min": 0, "max": 9223372036854775807, "hashed": true},
  {"id": "repeats", "path": "repeats", "kind": "whole", "flag": "repeats", "label": "Repeats", "help": "runs of each task", "unset": "1", "group": "Load", "unit": "runs", "example": "3", "preset": "1", "range": "1 to 100", "min": 1, "max": 100, "hashed": true},
  {"id": "format", "path": "prompt_format", "kind": "choice", "flag": "chat", "label": "Prompt format", "help": "send messages through the model's chat template", "unset": "off", "group": "Samples and prompts", "example": "chat", "preset": "text", "min": 0, "max": 64, "words": ["text", "chat"], "hashed": true},
  {"id": "priority", "path": "priority", "kind": "whole", "flag": "priority", "label": "Priority", "help": "-100 to 100, higher first", "unset": "0", "group": "Metadata", "example": "10", "range": "-100 to 100", "min": -100, "max": 100, "hashed": false},
  {"id": "submitter", "path": "submitter", "kind": "text", "flag": "submitter", "label": "Your name", "help": "who asks; the queue is shared fairly by name", "unset": "USER", "group": "Metadata", "example": "alice", "preset": "anonymous", "min": 0, "max": 64, "hashed": false},
  {"id": "note", "path": "note", "kind": "text", "flag": "note", "label": "Note", "help": "shown beside the run", "unset": "none", "group": "Metadata", "example": "after the upgrade", "min": 0, "max": 512, "hashed": false},
  {"id": "revision", "path": "revision", "kind": "text", "flag": "revision", "label": "Revision of the model", "help": "commit or tag of the model, kept with the run", "unset": "none", "group": "Metadata", "example": "main", "min": 0, "max": 128, "hashed": true},
  {"id": "hardware", "path": "hardware.description", "kind": "text", "flag": "hardware", "label": "Hardware", "help": "hardware of the server, declared", "unset": "not declared", "group": "Machine", "example": "8x H100-SXM", "when": "server", "min": 0, "max": 256, "hashed": true},
  {"id": "device", "path": "hardware.device", "kind": "word", "flag": "device", "label": "Device", "help": "what the node must have", "unset": "any", "group": "Machine", "example": "cpu", "when": "native", "min": 0, "max": 64, "words": ["cpu", "cuda"], "words_when": "native", "hashed": true},
  {"id": "device_count", "path": "hardware.device_count", "kind": "whole", "flag": "device-count", "label": "Devices", "help": "how many devices the node must have", "unset": "0 = any", "group": "Machine", "unit": "devices", "example": "1", "when": "native", "range": "0 to 4096", "min": 0, "max": 4096, "hashed": true},
  {"id": "tensor", "path": "parallelism.tensor", "kind": "whole", "flag": "tensor-parallel", "label": "Tensor parallel", "help": "tensor parallelism of a server", "unset": "1", "group": "Machine", "unit": "devices", "example": "8", "when": "server", "preset": "1", "range": "1 to 1024", "min": 1, "max": 1024, "hashed": true},
  {"id": "pipeline", "path": "parallelism.pipeline", "kind": "whole", "flag": "pipeline-parallel", "label": "Pipeline parallel", "help": "pipeline parallelism of a server", "unset": "1", "group": "Machine", "unit": "devices", "example": "2", "when": "server", "preset": "1", "range": "1 to 1024", "min": 1, "max": 1024, "hashed": true},
  {"id": "data", "path": "parallelism.data", "kind": "whole", "flag": "data-parallel", "label": "Data parallel", "help": "data parallelism of a server", "unset": "1", "group": "Machine", "unit": "devices", "example": "2", "when": "server", "preset": "1", "range": "1 to 1024", "min": 1, "max": 1024, "hashed": true},
  {"id": "expert", "path": "parallelism.expert", "kind": "whole", "flag": "expert-parallel", "label": "Expert parallel", "help": "expert parallelism of a server", "unset": "1", "group": "Machine", "unit": "devices", "example": "8", "when": "server", "preset": "1", "range": "1 to 1024", "min": 1, "max": 1024, "hashed": true},
  {"id": "url", "path": "external.url", "kind": "text", "flag": "url", "label": "Address of the server", "help": "base URL of a server, as the node reaches it", "unset": "none", "group": "Model and engine", "example": "http://127.0.0.1:8000", "when": "server", "min": 0, "max": 2048, "hashed": true},
  {"id": "served_model", "path": "external.served_model", "kind": "text", "flag": "served-model", "label": "Model name on the server", "help": "model name to send to it", "unset": "same as the model", "group": "Machine", "example": "qwen3-30b", "when": "server", "min": 0, "max": 512, "hashed": true},
  {"id": "model_config", "path": "external.model_config", "kind": "file", "flag": "model-config", "label": "config.json of the model", "help": "its config.json, declared", "unset": "not declared", "group": "Machine", "example": "{\"num_experts\": 128, \"num_experts_per_tok\": 8}", "when": "server", "min": 0, "max": 1048576, "hashed": true},
  {"id": "key_env", "path": "external.api_key_env", "kind": "text", "flag": "api-key-env", "label": "API key variable", "help": "the node's variable with its key: MOECAP_KEY_...", "unset": "none", "group": "Machine", "example": "MOECAP_KEY_VLLM", "when": "server", "min": 0, "max": 64, "hashed": true}
 ]
} as const;
