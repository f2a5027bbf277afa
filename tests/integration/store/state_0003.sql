-- The rows of a state folder of the program that knew migrations 0001 to 0003, as pg_dump wrote them: runs of
-- the null and the native engine that have finished, and one whose shard a node holds, with one of three samples
-- stored. The documents that no run uses are left out; power is made up. test_upgrade.c loads it.
INSERT INTO moecap.evaluation (evaluation_no, evaluation_id, config_hash, spec, spec_json, model, engine, "precision", submitter, priority, created_at, ended_at) OVERRIDING SYSTEM VALUE VALUES
	(1, 'eval-iyvagtc7847pb4hk', '65b5e432cba293d3e662105fefcd6d743f18063cffc76bbacfaf86d7363bda19', '\x0a046e6f6e651a046e756c6c2a0032003a0867736d2d6d696e69420208014a00580468017a04746578748201008a0109616e6f6e796d6f7573', '{"engine":"null","external":{"api_key_env":"","model_config":"","served_model":"","url":""},"generation":{"ignore_eos":false,"max_tokens":0,"temperature":null,"top_k":0,"top_p":null},"hardware":{"description":"","device":"","device_count":0},"limit":4,"load":{"concurrency":1,"rate_per_s":0.0},"model":"none","num_fewshot":null,"parallelism":{"data":1,"expert":1,"pipeline":1,"tensor":1},"precision":"","prompt_format":"text","repeats":1,"revision":"","sampling":null,"seed":0,"tasks":["gsm-mini"]}', 'none', 'null', '', 'anonymous', 0, '2026-11-30 12:19:06.74103+00', '2026-11-30 12:19:06.808858+00'),
	(2, 'eval-xsaxece9i7tgjub2', '2fde3ea89df8c8654f127a8ee612d2e835d64d279338d812c758bbf26e19222a', '\x0a0b6d6f656361702d74696e791a066e61746976652204626631362a0032003a0b63686f6963652d6d696e69420208014a00580268017a04746578748201008a0109616e6f6e796d6f7573', '{"engine":"native","external":{"api_key_env":"","model_config":"","served_model":"","url":""},"generation":{"ignore_eos":false,"max_tokens":0,"temperature":null,"top_k":0,"top_p":null},"hardware":{"description":"","device":"","device_count":0},"limit":2,"load":{"concurrency":1,"rate_per_s":0.0},"model":"moecap-tiny","num_fewshot":null,"parallelism":{"data":1,"expert":1,"pipeline":1,"tensor":1},"precision":"bf16","prompt_format":"text","repeats":1,"revision":"","sampling":null,"seed":0,"tasks":["choice-mini"]}', 'moecap-tiny', 'native', 'bf16', 'anonymous', 0, '2026-11-30 12:19:06.877943+00', '2026-11-30 12:19:06.938415+00'),
	(3, 'eval-ciyp34ftwedp6tvr', '7679581dadfe2f7e087c233f5e6eecbc4b4782f55f73d39d20a91f720ca9da02', '\x0a0b6d6f656361702d74696e791a066e61746976652204626631362a0032003a0867736d2d6d696e69420208014a020808580268017a04746578748201008a0109616e6f6e796d6f7573', '{"engine":"native","external":{"api_key_env":"","model_config":"","served_model":"","url":""},"generation":{"ignore_eos":false,"max_tokens":8,"temperature":null,"top_k":0,"top_p":null},"hardware":{"description":"","device":"","device_count":0},"limit":2,"load":{"concurrency":1,"rate_per_s":0.0},"model":"moecap-tiny","num_fewshot":null,"parallelism":{"data":1,"expert":1,"pipeline":1,"tensor":1},"precision":"bf16","prompt_format":"text","repeats":1,"revision":"","sampling":null,"seed":0,"tasks":["gsm-mini"]}', 'moecap-tiny', 'native', 'bf16', 'anonymous', 0, '2026-11-30 12:19:07.044978+00', '2026-11-30 12:19:07.088683+00'),
	(4, 'eval-vhheh5c5btzcmh6t', '1983390d6ea04914fb3253ca54acace08300f8c359fdcd92c43c2f6b08cd441b', '\x0a046e6f6e651a046e756c6c2a0032003a0867736d2d6d696e69420208014a005001580368017a04746578748201008a0109616e6f6e796d6f7573', '{"engine":"null","external":{"api_key_env":"","model_config":"","served_model":"","url":""},"generation":{"ignore_eos":false,"max_tokens":0,"temperature":null,"top_k":0,"top_p":null},"hardware":{"description":"","device":"","device_count":0},"limit":3,"load":{"concurrency":1,"rate_per_s":0.0},"model":"none","num_fewshot":1,"parallelism":{"data":1,"expert":1,"pipeline":1,"tensor":1},"precision":"","prompt_format":"text","repeats":1,"revision":"","sampling":null,"seed":0,"tasks":["gsm-mini"]}', 'none', 'null', '', 'anonymous', 0, '2026-11-30 12:19:07.140337+00', '2026-11-30 12:19:07.166945+00'),
	(5, 'eval-zyi6uw5k5j8g4xes', 'd25e30dc16bb05fcae279de59e213d2838f21b599dfef236ea1ae97bdf452489', '\x0a01781a066f70656e61692a0032003a0867736d2d6d696e69420208014a005803680170057a04746578748201150a13687474703a2f2f3132372e302e302e313a392f8a0109616e6f6e796d6f7573', '{"engine":"openai","external":{"api_key_env":"","model_config":"","served_model":"","url":"http://127.0.0.1:9/"},"generation":{"ignore_eos":false,"max_tokens":0,"temperature":null,"top_k":0,"top_p":null},"hardware":{"description":"","device":"","device_count":0},"limit":3,"load":{"concurrency":1,"rate_per_s":0.0},"model":"x","num_fewshot":null,"parallelism":{"data":1,"expert":1,"pipeline":1,"tensor":1},"precision":"","prompt_format":"text","repeats":1,"revision":"","sampling":null,"seed":5,"tasks":["gsm-mini"]}', 'x', 'openai', '', 'anonymous', 0, '2026-11-30 12:19:07.236037+00', NULL);
INSERT INTO moecap.task (task_id, name, version, output_type, definition, definition_sha256, data_sha256, samples_file, fewshot_file, split, num_fewshot, metrics, description, samples, fewshot, current, created_at) OVERRIDING SYSTEM VALUE VALUES
	(2, 'choice-mini', '1', 'multiple_choice', '{"doc_to_choice":["A","B","C","D"],"doc_to_target":"answer","doc_to_text":"{{question}}\nA. {{choices[0]}}\nB. {{choices[1]}}\nC. {{choices[2]}}\nD. {{choices[3]}}\nAnswer:","fewshot_config":{"sampler":"first_n"},"fewshot_file":"choice-mini.train_shots.jsonl","fewshot_split":"train","metadata":{"version":1},"metric_list":[{"metric":"acc"},{"metric":"acc_norm"}],"num_fewshot":0,"output_type":"multiple_choice","samples_file":"choice-mini.jsonl","task":"choice-mini","test_split":"test"}', 'e75cc55150380c73d6e3ef23b61b538df8f0d8c3096de27c34487c663bed1edb', 'd4205531e0d983dc0a6deb8304007b8930988760b273b9846d714b0c1d806d2c', 'choice-mini.jsonl', 'choice-mini.train_shots.jsonl', 'test', 0, '{acc,acc_norm}', '', 2, 2, true, '2026-11-30 12:19:06.499767+00'),
	(3, 'gsm-mini', '1', 'generate_until', '{"doc_to_target":"{{answer}}","doc_to_text":"Question: {{question}}\nAnswer:","fewshot_config":{"sampler":"first_n"},"fewshot_file":"gsm-mini.train_shots.jsonl","fewshot_split":"train","filter_list":[{"filter":[{"function":"regex","regex_pattern":"#### (\\-?[0-9\\.\\,]+)"},{"function":"take_first"}],"name":"strict-match"},{"filter":[{"function":"regex","group_select":-1,"regex_pattern":"(-?[$0-9.,]{2,})|(-?[0-9]+)"},{"function":"take_first"}],"name":"flexible-extract"}],"generation_kwargs":{"max_gen_toks":128,"temperature":0.0,"until":["Question:","\n\n"]},"metadata":{"version":1},"metric_list":[{"ignore_case":true,"ignore_punctuation":false,"metric":"exact_match","regexes_to_ignore":[",","\\$","(?s).*#### ","\\.$"]}],"num_fewshot":0,"output_type":"generate_until","samples_file":"gsm-mini.jsonl","task":"gsm-mini","test_split":"test"}', '6ac496380daba8f6cc43e0061654bd213cf49a2fe5ef4b6de0a8f925aaf0d8a9', '655c52283a175ba2315012009b9b13c9879808bd659fa3f2619e1e90a8e73582', 'gsm-mini.jsonl', 'gsm-mini.train_shots.jsonl', 'test', 0, '{"exact_match,strict-match","exact_match,flexible-extract"}', '', 4, 2, true, '2026-11-30 12:19:06.557543+00');
INSERT INTO moecap.run (run_no, run_id, evaluation_no, "position", task_id, repeat, state, reason, samples_total, samples_answered, samples_graded, graded_below, attempts, node, report, queued_at, started_at, ended_at, pruned) OVERRIDING SYSTEM VALUE VALUES
	(3, 'run-w53rnym3jteu26tq', 3, 0, 3, 0, 'finished', '', 2, 2, 2, 0, 1, 'node-1', '\x0a05302e312e301206656e67696e6518b08594e3a23420a31b2805301038024240643362363436363463306236383239663834646132313039663735386532363635356239663136356238363264386430613264363065643034373431363061664a097177656e335f6d6f6550c0dd8f0258c0dd3d62770a08414d44204550594310021880e0e3945e22036176782204617678322203666d61220761767835313266220861767835313262772208617678353132766c220a617678353132766e6e69220a6176783531326266313639b3b79cc8b3172f4042154c696e757820362e31382e34342d66632d763635376802720b6176783531325f62663136790000000000bb3740', '2026-11-30 12:19:07.045155+00', '2026-11-30 12:19:07.061172+00', '2026-11-30 12:19:07.088476+00', false),
	(1, 'run-z394frtxfrm55bpw', 1, 0, 3, 0, 'finished', '', 4, 4, 4, 0, 1, 'node-1', '\x0a05302e312e301206656e67696e6518858394e3a234201b62770a08414d44204550594310021880e0e3945e22036176782204617678322203666d61220761767835313266220861767835313262772208617678353132766c220a617678353132766e6e69220a6176783531326266313639b3b79cc8b3172f4042154c696e757820362e31382e34342d66632d76363537790000000000bb374092013674686520656e67696e65206e756c6c20646f6573206e6f742074656c6c207468652065787065727473206f6620612072657175657374', '2026-11-30 12:19:06.741717+00', '2026-11-30 12:19:06.760086+00', '2026-11-30 12:19:06.808483+00', false),
	(4, 'run-8kpsy3kqqmdrnjxe', 4, 0, 3, 0, 'finished', '', 3, 3, 3, 0, 1, 'node-1', '\x0a05302e312e301206656e67696e65188f8694e3a234204962770a08414d44204550594310021880e0e3945e22036176782204617678322203666d61220761767835313266220861767835313262772208617678353132766c220a617678353132766e6e69220a6176783531326266313639b3b79cc8b3172f4042154c696e757820362e31382e34342d66632d76363537790000000000bb374092013674686520656e67696e65206e756c6c20646f6573206e6f742074656c6c207468652065787065727473206f6620612072657175657374', '2026-11-30 12:19:07.140513+00', '2026-11-30 12:19:07.153094+00', '2026-11-30 12:19:07.16672+00', false),
	(2, 'run-itaru8tege4rwy3j', 2, 0, 2, 0, 'finished', '', 2, 2, 2, 0, 1, 'node-1', '\x0a05302e312e301206656e67696e65189c8494e3a23420ea0e2805301038024240643362363436363463306236383239663834646132313039663735386532363635356239663136356238363264386430613264363065643034373431363061664a097177656e335f6d6f6550c0dd8f0258c0dd3d62770a08414d44204550594310021880e0e3945e22036176782204617678322203666d61220761767835313266220861767835313262772208617678353132766c220a617678353132766e6e69220a6176783531326266313639b3b79cc8b3172f4042154c696e757820362e31382e34342d66632d763635376802720b6176783531325f62663136790000000000bb3740', '2026-11-30 12:19:06.878114+00', '2026-11-30 12:19:06.912346+00', '2026-11-30 12:19:06.938202+00', false),
	(5, 'run-mheig5mjbzqn9795', 5, 0, 3, 0, 'running', 'engine openai: not ready after 9 s: could not connect to http://127.0.0.1:9/v1/models: Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server', 3, 1, 0, 0, 3, 'node-1', NULL, '2026-11-30 12:19:07.236218+00', '2026-11-30 12:19:39.971475+00', NULL, false);
INSERT INTO moecap.shard (run_no, shard, ordinals, done, fence, seq_next, node_id, node, lease_until) VALUES
	(1, 0, '{0,1,2,3}', true, 1, 2, NULL, NULL, NULL),
	(2, 0, '{0,1}', true, 1, 2, NULL, NULL, NULL),
	(3, 0, '{0,1}', true, 1, 2, NULL, NULL, NULL),
	(4, 0, '{0,1,2}', true, 1, 2, NULL, NULL, NULL),
	(5, 0, '{0,1,2}', false, 3, 2, 'node-x', 'node-1', '2026-11-30 12:19:49.925687+00');
INSERT INTO moecap.attempt (run_no, shard, fence, node_id, node, started_at, ended_at, outcome) VALUES
	(1, 0, 1, 'node-2pedt446ghxunqxv', 'node-1', '2026-11-30 12:19:06.747263+00', '2026-11-30 12:19:06.761665+00', 'done'),
	(2, 0, 1, 'node-2pedt446ghxunqxv', 'node-1', '2026-11-30 12:19:06.880664+00', '2026-11-30 12:19:06.914756+00', 'done'),
	(3, 0, 1, 'node-2pedt446ghxunqxv', 'node-1', '2026-11-30 12:19:07.046759+00', '2026-11-30 12:19:07.062615+00', 'done'),
	(4, 0, 1, 'node-2pedt446ghxunqxv', 'node-1', '2026-11-30 12:19:07.143515+00', '2026-11-30 12:19:07.154114+00', 'done'),
	(5, 0, 1, 'node-2pedt446ghxunqxv', 'node-1', '2026-11-30 12:19:07.239787+00', '2026-11-30 12:19:16.755859+00', 'engine openai: not ready after 9 s: could not connect to http://127.0.0.1:9/v1/models: Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server'),
	(5, 0, 2, 'node-2pedt446ghxunqxv', 'node-1', '2026-11-30 12:19:18.344488+00', '2026-11-30 12:19:27.863896+00', 'engine openai: not ready after 9 s: could not connect to http://127.0.0.1:9/v1/models: Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server'),
	(5, 0, 3, 'node-x', 'node-1', '2026-11-30 12:19:29.461084+00', NULL, '');
INSERT INTO moecap.batch_ledger (run_no, shard, fence, seq, sha256, answers, last, stored_at) VALUES
	(1, 0, 1, 1, '\x891aa2a892a27a48ea805f85b5c59a1b491c25ebab11c49a1d09325f1e2b5dfd', 4, true, '2026-11-30 12:19:06.760261+00'),
	(2, 0, 1, 1, '\x29cf18ff0b150d763f74e93187846eb1a46731124da45f9d8ea1a992c6c1d46d', 2, true, '2026-11-30 12:19:06.91248+00'),
	(3, 0, 1, 1, '\x2140ce448f6f42350c428937fe5ecba2f5ac2cc8e22d475eb3217e7958233518', 2, true, '2026-11-30 12:19:07.061306+00'),
	(4, 0, 1, 1, '\xf6f2c19b82bf4923151edd77babe21593c06e7a4a1fff2397a536c2e40043d33', 3, true, '2026-11-30 12:19:07.153222+00'),
	(5, 0, 3, 1, '\x2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881', 1, false, '2026-11-30 12:19:39.951728+00');
INSERT INTO moecap.event (event_id, at, run_id, kind, text) OVERRIDING SYSTEM VALUE VALUES
	(1, '2026-11-30 12:19:06.415304+00', '', 'node', 'node-1 (node-2pedt446ghxunqxv) connected'),
	(2, '2026-11-30 12:19:06.743241+00', 'run-z394frtxfrm55bpw', 'state', 'queued'),
	(3, '2026-11-30 12:19:06.747573+00', 'run-z394frtxfrm55bpw', 'lease', 'shard 0 to node node-1, attempt 1, 4 of 4 samples left'),
	(4, '2026-11-30 12:19:06.747754+00', 'run-z394frtxfrm55bpw', 'state', 'queued -> leased'),
	(5, '2026-11-30 12:19:06.760176+00', 'run-z394frtxfrm55bpw', 'state', 'leased -> running'),
	(6, '2026-11-30 12:19:06.761811+00', 'run-z394frtxfrm55bpw', 'release', 'shard 0 of node node-1, attempt 1: done'),
	(7, '2026-11-30 12:19:06.762415+00', 'run-z394frtxfrm55bpw', 'state', 'running -> grading'),
	(8, '2026-11-30 12:19:06.808631+00', 'run-z394frtxfrm55bpw', 'state', 'grading -> finished'),
	(9, '2026-11-30 12:19:06.878386+00', 'run-itaru8tege4rwy3j', 'state', 'queued'),
	(10, '2026-11-30 12:19:06.880791+00', 'run-itaru8tege4rwy3j', 'lease', 'shard 0 to node node-1, attempt 1, 2 of 2 samples left'),
	(11, '2026-11-30 12:19:06.880885+00', 'run-itaru8tege4rwy3j', 'state', 'queued -> leased'),
	(12, '2026-11-30 12:19:06.912432+00', 'run-itaru8tege4rwy3j', 'state', 'leased -> running'),
	(13, '2026-11-30 12:19:06.914841+00', 'run-itaru8tege4rwy3j', 'release', 'shard 0 of node node-1, attempt 1: done'),
	(14, '2026-11-30 12:19:06.915195+00', 'run-itaru8tege4rwy3j', 'state', 'running -> grading'),
	(15, '2026-11-30 12:19:06.938282+00', 'run-itaru8tege4rwy3j', 'state', 'grading -> finished'),
	(16, '2026-11-30 12:19:07.045381+00', 'run-w53rnym3jteu26tq', 'state', 'queued'),
	(17, '2026-11-30 12:19:07.046894+00', 'run-w53rnym3jteu26tq', 'lease', 'shard 0 to node node-1, attempt 1, 2 of 2 samples left'),
	(18, '2026-11-30 12:19:07.046993+00', 'run-w53rnym3jteu26tq', 'state', 'queued -> leased'),
	(19, '2026-11-30 12:19:07.061257+00', 'run-w53rnym3jteu26tq', 'state', 'leased -> running'),
	(20, '2026-11-30 12:19:07.062656+00', 'run-w53rnym3jteu26tq', 'release', 'shard 0 of node node-1, attempt 1: done'),
	(21, '2026-11-30 12:19:07.062886+00', 'run-w53rnym3jteu26tq', 'state', 'running -> grading'),
	(22, '2026-11-30 12:19:07.088556+00', 'run-w53rnym3jteu26tq', 'state', 'grading -> finished'),
	(23, '2026-11-30 12:19:07.140727+00', 'run-8kpsy3kqqmdrnjxe', 'state', 'queued'),
	(24, '2026-11-30 12:19:07.143653+00', 'run-8kpsy3kqqmdrnjxe', 'lease', 'shard 0 to node node-1, attempt 1, 3 of 3 samples left'),
	(25, '2026-11-30 12:19:07.143754+00', 'run-8kpsy3kqqmdrnjxe', 'state', 'queued -> leased'),
	(26, '2026-11-30 12:19:07.153174+00', 'run-8kpsy3kqqmdrnjxe', 'state', 'leased -> running'),
	(27, '2026-11-30 12:19:07.154156+00', 'run-8kpsy3kqqmdrnjxe', 'release', 'shard 0 of node node-1, attempt 1: done'),
	(28, '2026-11-30 12:19:07.154389+00', 'run-8kpsy3kqqmdrnjxe', 'state', 'running -> grading'),
	(29, '2026-11-30 12:19:07.166798+00', 'run-8kpsy3kqqmdrnjxe', 'state', 'grading -> finished'),
	(30, '2026-11-30 12:19:07.236439+00', 'run-mheig5mjbzqn9795', 'state', 'queued'),
	(31, '2026-11-30 12:19:07.239929+00', 'run-mheig5mjbzqn9795', 'lease', 'shard 0 to node node-1, attempt 1, 3 of 3 samples left'),
	(32, '2026-11-30 12:19:07.240033+00', 'run-mheig5mjbzqn9795', 'state', 'queued -> leased'),
	(33, '2026-11-30 12:19:16.755922+00', 'run-mheig5mjbzqn9795', 'release', 'shard 0 of node node-1, attempt 1: engine openai: not ready after 9 s: could not connect to http://127.0.0.1:9/v1/models: Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server'),
	(34, '2026-11-30 12:19:16.756153+00', 'run-mheig5mjbzqn9795', 'state', 'leased -> queued: engine openai: not ready after 9 s: could not connect to http://127.0.0.1:9/v1/models: Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server'),
	(35, '2026-11-30 12:19:18.344793+00', 'run-mheig5mjbzqn9795', 'lease', 'shard 0 to node node-1, attempt 2, 3 of 3 samples left'),
	(36, '2026-11-30 12:19:18.345233+00', 'run-mheig5mjbzqn9795', 'state', 'queued -> leased'),
	(37, '2026-11-30 12:19:27.863982+00', 'run-mheig5mjbzqn9795', 'release', 'shard 0 of node node-1, attempt 2: engine openai: not ready after 9 s: could not connect to http://127.0.0.1:9/v1/models: Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server'),
	(38, '2026-11-30 12:19:27.864395+00', 'run-mheig5mjbzqn9795', 'state', 'leased -> queued: engine openai: not ready after 9 s: could not connect to http://127.0.0.1:9/v1/models: Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server'),
	(39, '2026-11-30 12:19:29.46144+00', 'run-mheig5mjbzqn9795', 'lease', 'shard 0 to node node-1, attempt 3, 3 of 3 samples left'),
	(40, '2026-11-30 12:19:29.46178+00', 'run-mheig5mjbzqn9795', 'state', 'queued -> leased'),
	(41, '2026-11-30 12:19:39.009173+00', 'run-mheig5mjbzqn9795', 'release', 'shard 0 of node node-1, attempt 3: engine openai: not ready after 9 s: could not connect to http://127.0.0.1:9/v1/models: Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server'),
	(42, '2026-11-30 12:19:39.009374+00', 'run-mheig5mjbzqn9795', 'state', 'leased -> queued: engine openai: not ready after 9 s: could not connect to http://127.0.0.1:9/v1/models: Failed to connect to 127.0.0.1 port 9 after 0 ms: Couldn''t connect to server');
INSERT INTO moecap.expert_count (run_no, phase, layer, batch_bucket, counts) VALUES
	(2, 1, 0, 1, '{4,3,5,1,0,4,16,7,7,14,6,10,2,7,12,20}'),
	(2, 1, 1, 1, '{7,7,10,5,11,7,6,8,10,4,8,9,7,1,8,10}'),
	(2, 1, 2, 1, '{5,7,11,8,7,5,6,5,11,7,5,5,9,6,8,13}'),
	(2, 1, 3, 1, '{5,4,11,6,8,10,8,7,5,4,9,10,2,7,5,17}'),
	(2, 1, 4, 1, '{9,2,4,14,8,5,6,3,8,5,11,7,7,10,9,10}'),
	(3, 1, 0, 1, '{13,6,5,4,8,11,15,4,14,5,4,6,0,10,18,7}'),
	(3, 1, 1, 1, '{6,1,11,1,10,7,9,5,9,8,12,4,11,16,14,6}'),
	(3, 1, 2, 1, '{8,0,4,19,7,1,6,10,19,4,14,10,5,17,0,6}'),
	(3, 1, 3, 1, '{12,17,4,9,6,4,10,7,6,7,12,9,3,8,2,14}'),
	(3, 1, 4, 1, '{2,17,9,6,3,6,7,9,2,5,19,4,9,6,13,13}'),
	(3, 2, 0, 1, '{3,3,1,0,1,4,2,1,4,1,3,2,0,3,0,0}'),
	(3, 2, 1, 1, '{2,0,2,0,2,4,1,2,0,2,2,3,0,5,3,0}'),
	(3, 2, 2, 1, '{1,0,6,3,3,2,1,4,3,1,0,1,1,1,0,1}'),
	(3, 2, 3, 1, '{2,2,1,1,5,0,3,4,4,0,1,0,0,0,4,1}'),
	(3, 2, 4, 1, '{1,0,2,1,4,7,0,3,0,6,0,1,1,0,1,1}');
INSERT INTO moecap.figure (run_no, "position", id, value, low, high, reason, unit, basis, invalid) VALUES
	(1, 0, 'exact_match,strict-match', 0, 0, 0.4898908364545973, '', 'ratio', 'measured', false),
	(1, 1, 'exact_match,flexible-extract', 0, 0, 0.4898908364545973, '', 'ratio', 'measured', false),
	(1, 2, 'attempted', 4, NULL, NULL, '', 'samples', 'measured', false),
	(1, 3, 'served', 4, NULL, NULL, '', 'samples', 'measured', false),
	(1, 4, 'completed', 4, NULL, NULL, '', 'samples', 'measured', false),
	(1, 5, 'failed', 0, NULL, NULL, '', 'samples', 'measured', false),
	(1, 6, 'unanswered', 0, NULL, NULL, '', 'samples', 'measured', false),
	(1, 7, 'truncated', 0, NULL, NULL, '', 'samples', 'measured', false),
	(1, 8, 'ttft_ms_mean', 0.00125, NULL, NULL, '', 'ms', 'measured', false),
	(1, 9, 'ttft_ms_p50', 0.001, NULL, NULL, '', 'ms', 'measured', false),
	(1, 10, 'ttft_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(1, 11, 'ttft_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(1, 12, 'tpot_ms_mean', 0.0002857142857142857, NULL, NULL, '', 'ms', 'measured', false),
	(1, 13, 'tpot_ms_p50', 0.0002857142857142857, NULL, NULL, '', 'ms', 'measured', false),
	(1, 14, 'tpot_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(1, 15, 'tpot_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(1, 16, 'itl_ms_mean', 3.571428571428571e-05, NULL, NULL, '', 'ms', 'measured', false),
	(1, 17, 'itl_ms_p50', 0, NULL, NULL, '', 'ms', 'measured', false),
	(1, 18, 'itl_ms_p90', 0, NULL, NULL, '', 'ms', 'measured', false),
	(1, 19, 'itl_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(1, 20, 'e2e_ms_mean', 0.00375, NULL, NULL, '', 'ms', 'measured', false),
	(1, 21, 'e2e_ms_p50', 0.0035, NULL, NULL, '', 'ms', 'measured', false),
	(1, 22, 'e2e_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(1, 23, 'e2e_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(1, 24, 'wall_s', 2.6e-05, NULL, NULL, '', 's', 'measured', false),
	(1, 25, 'requests_per_s', 153846.15384615384, NULL, NULL, '', '1/s', 'measured', false),
	(1, 26, 'input_tokens_per_s', 4846153.846153846, NULL, NULL, '', 'tokens/s', 'measured', false),
	(1, 27, 'output_tokens_per_s', 1230769.2307692308, NULL, NULL, '', 'tokens/s', 'measured', false),
	(1, 28, 'total_tokens_per_s', 6076923.076923077, NULL, NULL, '', 'tokens/s', 'measured', false),
	(1, 29, 'prefill_tokens_per_s', NULL, NULL, NULL, 'no pass records', 'tokens/s', 'unavailable', false),
	(1, 30, 'decode_tokens_per_s', NULL, NULL, NULL, 'no pass records', 'tokens/s', 'unavailable', false),
	(1, 31, 'decode_batch_mean', NULL, NULL, NULL, 'no pass records', 'sequences', 'unavailable', false),
	(1, 32, 'activated_experts_prefill', NULL, NULL, NULL, 'the model has no experts', 'experts', 'unavailable', false),
	(1, 33, 'activated_experts_decode', NULL, NULL, NULL, 'the model has no experts', 'experts', 'unavailable', false),
	(1, 34, 'expert_load_entropy', NULL, NULL, NULL, 'no routing records', 'ratio', 'unavailable', false),
	(1, 35, 'expert_load_max_ratio', NULL, NULL, NULL, 'no routing records', 'ratio', 'unavailable', false),
	(2, 0, 'acc', 1, 0.34238022750665303, 1, '', 'ratio', 'measured', false),
	(2, 1, 'acc_norm', 1, 0.34238022750665303, 1, '', 'ratio', 'measured', false),
	(2, 2, 'attempted', 2, NULL, NULL, '', 'samples', 'measured', false),
	(2, 3, 'served', 2, NULL, NULL, '', 'samples', 'measured', false),
	(2, 4, 'completed', 2, NULL, NULL, '', 'samples', 'measured', false),
	(2, 5, 'failed', 0, NULL, NULL, '', 'samples', 'measured', false),
	(2, 6, 'unanswered', 0, NULL, NULL, '', 'samples', 'measured', false),
	(2, 7, 'truncated', 0, NULL, NULL, '', 'samples', 'measured', false),
	(2, 8, 'ttft_ms_mean', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 9, 'ttft_ms_p50', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 10, 'ttft_ms_p90', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 11, 'ttft_ms_p99', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 12, 'tpot_ms_mean', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 13, 'tpot_ms_p50', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 14, 'tpot_ms_p90', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 15, 'tpot_ms_p99', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 16, 'itl_ms_mean', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 17, 'itl_ms_p50', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 18, 'itl_ms_p90', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 19, 'itl_ms_p99', NULL, NULL, NULL, 'no decode', 'ms', 'unavailable', false),
	(2, 20, 'e2e_ms_mean', 0.842, NULL, NULL, '', 'ms', 'measured', false),
	(2, 21, 'e2e_ms_p50', 0.842, NULL, NULL, '', 'ms', 'measured', false),
	(2, 22, 'e2e_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(2, 23, 'e2e_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(2, 24, 'wall_s', 0.00187, NULL, NULL, '', 's', 'measured', false),
	(2, 25, 'requests_per_s', 1069.51871657754, NULL, NULL, '', '1/s', 'measured', false),
	(2, 26, 'input_tokens_per_s', 31550.802139037434, NULL, NULL, '', 'tokens/s', 'measured', false),
	(2, 27, 'output_tokens_per_s', NULL, NULL, NULL, 'no decode', 'tokens/s', 'unavailable', false),
	(2, 28, 'total_tokens_per_s', 31550.802139037434, NULL, NULL, '', 'tokens/s', 'measured', false),
	(2, 29, 'prefill_tokens_per_s', 38487.83262620095, NULL, NULL, '', 'tokens/s', 'measured', false),
	(2, 30, 'decode_tokens_per_s', NULL, NULL, NULL, 'no decode', 'tokens/s', 'unavailable', false),
	(2, 31, 'decode_batch_mean', NULL, NULL, NULL, 'no decode', 'sequences', 'unavailable', false),
	(2, 32, 'activated_experts_prefill', 14.7, NULL, NULL, '', 'experts', 'measured', false),
	(2, 33, 'activated_experts_decode', NULL, NULL, NULL, 'no decode', 'experts', 'unavailable', false),
	(2, 34, 'expert_load_entropy', 0.956537398303501, NULL, NULL, '', 'ratio', 'measured', false),
	(2, 35, 'expert_load_max_ratio', 2.0338983050847457, NULL, NULL, '', 'ratio', 'measured', false),
	(3, 0, 'exact_match,strict-match', 0, 0, 0.6576197724933469, '', 'ratio', 'measured', false),
	(3, 1, 'exact_match,flexible-extract', 0, 0, 0.6576197724933469, '', 'ratio', 'measured', false),
	(3, 2, 'attempted', 2, NULL, NULL, '', 'samples', 'measured', false),
	(3, 3, 'served', 2, NULL, NULL, '', 'samples', 'measured', false),
	(3, 4, 'completed', 2, NULL, NULL, '', 'samples', 'measured', false),
	(3, 5, 'failed', 0, NULL, NULL, '', 'samples', 'measured', false),
	(3, 6, 'unanswered', 2, NULL, NULL, '', 'samples', 'measured', false),
	(3, 7, 'truncated', 2, NULL, NULL, '', 'samples', 'measured', false),
	(3, 8, 'ttft_ms_mean', 1.1055, NULL, NULL, '', 'ms', 'measured', false),
	(3, 9, 'ttft_ms_p50', 1.1055, NULL, NULL, '', 'ms', 'measured', false),
	(3, 10, 'ttft_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(3, 11, 'ttft_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(3, 12, 'tpot_ms_mean', 0.08992857142857141, NULL, NULL, '', 'ms', 'measured', false),
	(3, 13, 'tpot_ms_p50', 0.08992857142857141, NULL, NULL, '', 'ms', 'measured', false),
	(3, 14, 'tpot_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(3, 15, 'tpot_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(3, 16, 'itl_ms_mean', 0.08992857142857143, NULL, NULL, '', 'ms', 'measured', false),
	(3, 17, 'itl_ms_p50', 0.048, NULL, NULL, '', 'ms', 'measured', false),
	(3, 18, 'itl_ms_p90', 0.1706000000000002, NULL, NULL, '', 'ms', 'measured', false),
	(3, 19, 'itl_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(3, 20, 'e2e_ms_mean', 1.735, NULL, NULL, '', 'ms', 'measured', false),
	(3, 21, 'e2e_ms_p50', 1.735, NULL, NULL, '', 'ms', 'measured', false),
	(3, 22, 'e2e_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(3, 23, 'e2e_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(3, 24, 'wall_s', 0.003478, NULL, NULL, '', 's', 'measured', false),
	(3, 25, 'requests_per_s', 575.0431282346176, NULL, NULL, '', '1/s', 'measured', false),
	(3, 26, 'input_tokens_per_s', 18688.901667625072, NULL, NULL, '', 'tokens/s', 'measured', false),
	(3, 27, 'output_tokens_per_s', 4600.345025876941, NULL, NULL, '', 'tokens/s', 'measured', false);
INSERT INTO moecap.figure (run_no, "position", id, value, low, high, reason, unit, basis, invalid) VALUES
	(3, 28, 'total_tokens_per_s', 23289.246693502013, NULL, NULL, '', 'tokens/s', 'measured', false),
	(3, 29, 'prefill_tokens_per_s', 31035.511787526113, NULL, NULL, '', 'tokens/s', 'measured', false),
	(3, 30, 'decode_tokens_per_s', 12980.017263422962, NULL, NULL, '', 'tokens/s', 'measured', false),
	(3, 31, 'decode_batch_mean', 1, NULL, NULL, '', 'sequences', 'measured', false),
	(3, 32, 'activated_experts_prefill', 14.8, NULL, NULL, '', 'experts', 'measured', false),
	(3, 33, 'activated_experts_decode', 2, NULL, NULL, '', 'experts', 'measured', false),
	(3, 34, 'expert_load_entropy', 0.9421039794731365, NULL, NULL, '', 'ratio', 'measured', false),
	(3, 35, 'expert_load_max_ratio', 2.00506329113924, NULL, NULL, '', 'ratio', 'measured', false),
	(4, 0, 'exact_match,strict-match', 0, 0, 0.5614970317550454, '', 'ratio', 'measured', false),
	(4, 1, 'exact_match,flexible-extract', 0, 0, 0.5614970317550454, '', 'ratio', 'measured', false),
	(4, 2, 'attempted', 3, NULL, NULL, '', 'samples', 'measured', false),
	(4, 3, 'served', 3, NULL, NULL, '', 'samples', 'measured', false),
	(4, 4, 'completed', 3, NULL, NULL, '', 'samples', 'measured', false),
	(4, 5, 'failed', 0, NULL, NULL, '', 'samples', 'measured', false),
	(4, 6, 'unanswered', 0, NULL, NULL, '', 'samples', 'measured', false),
	(4, 7, 'truncated', 0, NULL, NULL, '', 'samples', 'measured', false),
	(4, 8, 'ttft_ms_mean', 0.001, NULL, NULL, '', 'ms', 'measured', false),
	(4, 9, 'ttft_ms_p50', 0.001, NULL, NULL, '', 'ms', 'measured', false),
	(4, 10, 'ttft_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(4, 11, 'ttft_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(4, 12, 'tpot_ms_mean', 0.00280952380952381, NULL, NULL, '', 'ms', 'measured', false),
	(4, 13, 'tpot_ms_p50', 0.0002857142857142857, NULL, NULL, '', 'ms', 'measured', false),
	(4, 14, 'tpot_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(4, 15, 'tpot_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(4, 16, 'itl_ms_mean', 0.002619047619047619, NULL, NULL, '', 'ms', 'measured', false),
	(4, 17, 'itl_ms_p50', 0, NULL, NULL, '', 'ms', 'measured', false),
	(4, 18, 'itl_ms_p90', 0, NULL, NULL, '', 'ms', 'measured', false),
	(4, 19, 'itl_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(4, 20, 'e2e_ms_mean', 0.021333333333333333, NULL, NULL, '', 'ms', 'measured', false),
	(4, 21, 'e2e_ms_p50', 0.004, NULL, NULL, '', 'ms', 'measured', false),
	(4, 22, 'e2e_ms_p90', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(4, 23, 'e2e_ms_p99', NULL, NULL, NULL, 'not enough samples', 'ms', 'unavailable', false),
	(4, 24, 'wall_s', 7.2e-05, NULL, NULL, '', 's', 'measured', false),
	(4, 25, 'requests_per_s', 41666.666666666664, NULL, NULL, '', '1/s', 'measured', false),
	(4, 26, 'input_tokens_per_s', 3361111.111111111, NULL, NULL, '', 'tokens/s', 'measured', false),
	(4, 27, 'output_tokens_per_s', 333333.3333333333, NULL, NULL, '', 'tokens/s', 'measured', false),
	(4, 28, 'total_tokens_per_s', 3694444.4444444445, NULL, NULL, '', 'tokens/s', 'measured', false),
	(4, 29, 'prefill_tokens_per_s', NULL, NULL, NULL, 'no pass records', 'tokens/s', 'unavailable', false),
	(4, 30, 'decode_tokens_per_s', NULL, NULL, NULL, 'no pass records', 'tokens/s', 'unavailable', false),
	(4, 31, 'decode_batch_mean', NULL, NULL, NULL, 'no pass records', 'sequences', 'unavailable', false),
	(4, 32, 'activated_experts_prefill', NULL, NULL, NULL, 'the model has no experts', 'experts', 'unavailable', false),
	(4, 33, 'activated_experts_decode', NULL, NULL, NULL, 'the model has no experts', 'experts', 'unavailable', false),
	(4, 34, 'expert_load_entropy', NULL, NULL, NULL, 'no routing records', 'ratio', 'unavailable', false),
	(4, 35, 'expert_load_max_ratio', NULL, NULL, NULL, 'no routing records', 'ratio', 'unavailable', false);
INSERT INTO moecap.histogram (run_no, id, lowest, growth, counts) VALUES
	(1, 'ttft_us', 1, 1.1, '{3,0,0,0,0,0,0,1}'),
	(1, 'tpot_us', 1, 1.1, '{4}'),
	(1, 'itl_us', 1, 1.1, '{28}'),
	(1, 'e2e_us', 1, 1.1, '{0,0,0,0,0,0,0,0,0,0,0,2,0,0,1,0,1}'),
	(2, 'e2e_us', 1, 1.1, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,2}'),
	(3, 'ttft_us', 1, 1.1, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,1}'),
	(3, 'tpot_us', 1, 1.1, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,0,0,0,1}'),
	(3, 'itl_us', 1, 1.1, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,3,6,3,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,0,0,0,0,0,1}'),
	(3, 'e2e_us', 1, 1.1, '{0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1,0,0,1}'),
	(4, 'ttft_us', 1, 1.1, '{3}'),
	(4, 'tpot_us', 1, 1.1, '{2,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1}'),
	(4, 'itl_us', 1, 1.1, '{20,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1}'),
	(4, 'e2e_us', 1, 1.1, '{0,0,0,0,0,0,0,0,0,0,0,1,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,1}');
INSERT INTO moecap.node (node_id, name, hello, connected, first_seen, last_seen) VALUES
	('node-2pedt446ghxunqxv', 'node-1', '\x0a066e6f64652d31', true, '2026-11-30 12:19:06.408092+00', '2026-11-30 12:19:06.408092+00');
INSERT INTO moecap.pass (run_no, shard, seq, item, fence, phase, sequences, tokens, context_sum, duration_ns, started_us, distinct_experts, weight_bytes, kv_bytes, flops, warm_up) VALUES
	(2, 0, 1, 0, 1, 1, 1, 34, 34, 1004318, -1005, '{14,16,16,15,16}', 8370944, 87040, 52616704, true),
	(2, 0, 1, 1, 1, 1, 1, 34, 34, 762367, 69, '{14,16,16,15,16}', 8370944, 87040, 52616704, false),
	(2, 0, 1, 2, 1, 1, 1, 25, 25, 770585, 1103, '{13,14,16,14,13}', 7682816, 64000, 38470144, false);
INSERT INTO moecap.pass (run_no, shard, seq, item, fence, phase, sequences, tokens, context_sum, duration_ns, started_us, distinct_experts, weight_bytes, kv_bytes, flops, warm_up) VALUES
	(3, 0, 1, 0, 1, 1, 1, 28, 28, 912622, -1378, '{15,16,14,15,15}', 8174336, 71680, 43162624, true),
	(3, 0, 1, 1, 1, 2, 1, 1, 29, 86939, -461, '{2,2,2,2,2}', 1784576, 38400, 1831424, true),
	(3, 0, 1, 2, 1, 2, 1, 1, 30, 68412, -372, '{2,2,2,2,2}', 1784576, 39680, 1833984, true),
	(3, 0, 1, 3, 1, 2, 1, 1, 31, 66109, -303, '{2,2,2,2,2}', 1784576, 40960, 1836544, true),
	(3, 0, 1, 4, 1, 2, 1, 1, 32, 58507, -235, '{2,2,2,2,2}', 1784576, 42240, 1839104, true),
	(3, 0, 1, 5, 1, 2, 1, 1, 33, 62373, -176, '{2,2,2,2,2}', 1784576, 43520, 1841664, true),
	(3, 0, 1, 6, 1, 2, 1, 1, 34, 54922, -113, '{2,2,2,2,2}', 1784576, 44800, 1844224, true),
	(3, 0, 1, 7, 1, 2, 1, 1, 35, 57186, -57, '{2,2,2,2,2}', 1784576, 46080, 1846784, true),
	(3, 0, 1, 8, 1, 1, 1, 28, 28, 964249, 73, '{15,16,14,15,15}', 8174336, 71680, 43162624, false),
	(3, 0, 1, 9, 1, 2, 1, 1, 29, 307448, 1198, '{2,2,2,2,2}', 1784576, 38400, 1831424, false),
	(3, 0, 1, 10, 1, 2, 1, 1, 30, 218527, 1507, '{2,2,2,2,2}', 1784576, 39680, 1833984, false),
	(3, 0, 1, 11, 1, 2, 1, 1, 31, 51357, 1728, '{2,2,2,2,2}', 1784576, 40960, 1836544, false),
	(3, 0, 1, 12, 1, 2, 1, 1, 32, 46680, 1781, '{2,2,2,2,2}', 1784576, 42240, 1839104, false),
	(3, 0, 1, 13, 1, 2, 1, 1, 33, 48222, 1829, '{2,2,2,2,2}', 1784576, 43520, 1841664, false),
	(3, 0, 1, 14, 1, 2, 1, 1, 34, 46249, 1878, '{2,2,2,2,2}', 1784576, 44800, 1844224, false),
	(3, 0, 1, 15, 1, 2, 1, 1, 35, 45078, 1926, '{2,2,2,2,2}', 1784576, 46080, 1846784, false),
	(3, 0, 1, 16, 1, 1, 1, 37, 37, 1130126, 2029, '{15,14,13,16,15}', 7977728, 94720, 57378304, false),
	(3, 0, 1, 17, 1, 2, 1, 1, 38, 48072, 3161, '{2,2,2,2,2}', 1784576, 49920, 1854464, false),
	(3, 0, 1, 18, 1, 2, 1, 1, 39, 46339, 3211, '{2,2,2,2,2}', 1784576, 51200, 1857024, false),
	(3, 0, 1, 19, 1, 2, 1, 1, 40, 42904, 3259, '{2,2,2,2,2}', 1784576, 52480, 1859584, false),
	(3, 0, 1, 20, 1, 2, 1, 1, 41, 43024, 3303, '{2,2,2,2,2}', 1784576, 53760, 1862144, false),
	(3, 0, 1, 21, 1, 2, 1, 1, 42, 44116, 3347, '{2,2,2,2,2}', 1784576, 55040, 1864704, false),
	(3, 0, 1, 22, 1, 2, 1, 1, 43, 45728, 3392, '{2,2,2,2,2}', 1784576, 56320, 1867264, false),
	(3, 0, 1, 23, 1, 2, 1, 1, 44, 44837, 3439, '{2,2,2,2,2}', 1784576, 57600, 1869824, false);
INSERT INTO moecap.power (run_no, shard, seq, item, fence, at_us, device, watts) VALUES
	(1, 0, 1, 0, 1, 5, 'gpu0', 301.5);
INSERT INTO moecap.sample (run_no, ordinal, uid, shard, fence, completed, escaped, error, prompt, text, reasoning, finish_reason, prompt_tokens, output_tokens, cached_tokens, output_ids, score_logs, score_tokens, score_greedy, submitted_us, first_token_us, last_token_us, ended_us, itl_us, routing) VALUES
	(2, 0, 'choice-mini-0000', 0, 1, true, false, '', 'What is half of 44?
A. 27
B. 22
C. 32
D. 20
Answer:', '', '', 'stop', 34, 0, 0, '{}', '{-11.020447437464544,-0.004846875368901245,-5.386068646609136,-10.380869810282537}', '{1,1,1,1}', '{0,1,0,0}', 4, NULL, NULL, 831, '{}', '\x0a06656e67696e6510101802221212100402020100020703060604040006070e22140801121006050503040304050602080602010503221408021210030505010604040309040303040104092214080312100104070503070606040204000204040922140804121005020108030106020702040706030605'),
	(2, 1, 'choice-mini-0001', 0, 1, true, false, '', 'Which month comes just after November?
A. December
B. January
C. September
D. August
Answer:', '', '', 'stop', 25, 0, 0, '{}', '{-0.0029298457573669594,-10.04348258108604,-5.891876378960492,-11.862804809517742}', '{1,1,1,1}', '{1,0,0,0}', 1017, NULL, NULL, 1874, '{}', '\x0a06656e67696e65101018022212121000010300000209040108020602010506221408011210010205020704020304020003050003072214080212100202060701010202020302020505040422140803121004000401050302010102050a0003010822140804121004000306050400010103070001070305');
INSERT INTO moecap.sample (run_no, ordinal, uid, shard, fence, completed, escaped, error, prompt, text, reasoning, finish_reason, prompt_tokens, output_tokens, cached_tokens, output_ids, score_logs, score_tokens, score_greedy, submitted_us, first_token_us, last_token_us, ended_us, itl_us, routing) VALUES
	(5, 0, 'gsm-mini-0000', 0, 3, true, true, '', 'p', 'a<0x00>b', '', 'stop', 7, NULL, NULL, '{}', NULL, NULL, NULL, 1, NULL, NULL, 2, '{}', NULL);
INSERT INTO moecap.sample (run_no, ordinal, uid, shard, fence, completed, escaped, error, prompt, text, reasoning, finish_reason, prompt_tokens, output_tokens, cached_tokens, output_ids, score_logs, score_tokens, score_greedy, submitted_us, first_token_us, last_token_us, ended_us, itl_us, routing) VALUES
	(4, 0, 'gsm-mini-0000', 0, 1, true, false, '', 'Question: Emma has 42 cookies. Emma gives half of them to Tina and then finds 83 cookies. How many cookies does Emma have now?
Answer: Half of them is 42/2=21 cookies.
Emma has 21+83=104 cookies.
#### 104
Question: 9 hens lay 7 eggs each. Nora sells 13 of the eggs. How many eggs are left?
Answer:', 'The answer is as good as any other.
#### 77', '', 'eos', 75, 8, 0, '{1001,1002,1003,1004,1005,1006,1007,1008}', NULL, NULL, NULL, 0, 1, 57, 57, '{54,0,0,0,0,0,1}', NULL),
	(4, 1, 'gsm-mini-0001', 0, 1, true, false, '', 'Question: Emma has 42 cookies. Emma gives half of them to Tina and then finds 83 cookies. How many cookies does Emma have now?
Answer: Half of them is 42/2=21 cookies.
Emma has 21+83=104 cookies.
#### 104
Question: An oven shows 16 degrees. It goes up by 21 degrees and then down by 22 degrees. How many degrees does it show now?
Answer:', 'The answer is as good as any other.
#### 17', '', 'eos', 85, 8, 0, '{1001,1002,1003,1004,1005,1006,1007,1008}', NULL, NULL, NULL, 63, 64, 66, 67, '{0,0,0,0,0,0,0}', NULL),
	(4, 2, 'gsm-mini-0002', 0, 1, true, false, '', 'Question: Emma has 42 cookies. Emma gives half of them to Tina and then finds 83 cookies. How many cookies does Emma have now?
Answer: Half of them is 42/2=21 cookies.
Emma has 21+83=104 cookies.
#### 104
Question: Dan is 8 years old. Ben is 2 times as old as Dan. Nora is 7 years younger than Ben. How old is Nora?
Answer:', 'The answer is as good as any other.
#### 28', '', 'eos', 82, 8, 0, '{1001,1002,1003,1004,1005,1006,1007,1008}', NULL, NULL, NULL, 69, 70, 71, 72, '{0,0,0,0,0,0,0}', NULL);
INSERT INTO moecap.sample (run_no, ordinal, uid, shard, fence, completed, escaped, error, prompt, text, reasoning, finish_reason, prompt_tokens, output_tokens, cached_tokens, output_ids, score_logs, score_tokens, score_greedy, submitted_us, first_token_us, last_token_us, ended_us, itl_us, routing) VALUES
	(1, 0, 'gsm-mini-0000', 0, 1, true, false, '', 'Question: 9 hens lay 7 eggs each. Nora sells 13 of the eggs. How many eggs are left?
Answer:', 'The answer is as good as any other.
#### 10', '', 'eos', 24, 8, 0, '{1001,1002,1003,1004,1005,1006,1007,1008}', NULL, NULL, NULL, 0, 1, 3, 4, '{1,0,0,0,0,0,0}', NULL),
	(1, 1, 'gsm-mini-0001', 0, 1, true, false, '', 'Question: An oven shows 16 degrees. It goes up by 21 degrees and then down by 22 degrees. How many degrees does it show now?
Answer:', 'The answer is as good as any other.
#### 90', '', 'eos', 34, 8, 0, '{1001,1002,1003,1004,1005,1006,1007,1008}', NULL, NULL, NULL, 12, 13, 15, 15, '{0,0,0,0,0,0,0}', NULL),
	(1, 2, 'gsm-mini-0002', 0, 1, true, false, '', 'Question: Dan is 8 years old. Ben is 2 times as old as Dan. Nora is 7 years younger than Ben. How old is Nora?
Answer:', 'The answer is as good as any other.
#### 43', '', 'eos', 30, 8, 0, '{1001,1002,1003,1004,1005,1006,1007,1008}', NULL, NULL, NULL, 17, 18, 20, 20, '{0,0,0,0,0,0,0}', NULL),
	(1, 3, 'gsm-mini-0003', 0, 1, true, false, '', 'Question: Paul finds 13 cans. Victor finds 6 times as many. Omar finds 11 fewer cans than Victor. How many more cans does Omar find than Paul?
Answer:', 'The answer is as good as any other.
#### 75', '', 'eos', 38, 8, 0, '{1001,1002,1003,1004,1005,1006,1007,1008}', NULL, NULL, NULL, 21, 23, 25, 26, '{0,0,0,0,0,0,0}', NULL);
INSERT INTO moecap.sample (run_no, ordinal, uid, shard, fence, completed, escaped, error, prompt, text, reasoning, finish_reason, prompt_tokens, output_tokens, cached_tokens, output_ids, score_logs, score_tokens, score_greedy, submitted_us, first_token_us, last_token_us, ended_us, itl_us, routing) VALUES
	(3, 0, 'gsm-mini-0000', 0, 1, true, false, '', 'Question: 9 hens lay 7 eggs each. Nora sells 13 of the eggs. How many eggs are left?
Answer:', ' The hens lay 9*7=', '', 'length', 28, 8, 0, '{331,805,867,220,24,9,22,28}', NULL, NULL, NULL, 6, 1037, 1971, 1971, '{468,221,53,48,50,48,47}', '\x0a06656e67696e651010180222241210060403020602060207010203000505021a1002020000000102010300010100010000222608011210030106010704040103010402060505031a10010002000202000000000202000201002226080212100600030b0301030402020505010800021a1000000301020201020101000100000000222608031210080701020201060302040503010300081a1001010101010002020200010000000101222608041210020705030201030500030701010406061a1000000200010200020005000000000101'),
	(3, 1, 'gsm-mini-0001', 0, 1, true, false, '', 'Question: An oven shows 16 degrees. It goes up by 21 degrees and then down by 22 degrees. How many degrees does it show now?
Answer:', ' It goes up to 16+', '', 'length', 37, 8, 0, '{585,685,686,338,220,16,21,10}', NULL, NULL, NULL, 1979, 3159, 3484, 3484, '{50,48,44,44,45,47,46}', '\x0a06656e67696e65101018022224121007020202020909020704020300050d051a1001010100010300000101020100020000222608011210030005000303050406070802050b09031a1001000000000201020002000100030200222608021210020001080400030611020905040900041a1001000302010000020200000001010001222608031210040a03070403040404030706020502061a1001010000040001020200000000000300222608041210000a04030105040402020c03080207071a1001000001030500010001000101000000');
INSERT INTO moecap.task_sample (task_id, fewshot, ordinal, uid, doc) VALUES
	(2, false, 0, 'choice-mini-0000', '{"id": "choice-mini-0000", "question": "What is half of 44?", "choices": ["27", "22", "32", "20"], "answer": 1, "kind": "half", "key": "28a705f89fabd572"}'),
	(2, false, 1, 'choice-mini-0001', '{"id": "choice-mini-0001", "question": "Which month comes just after November?", "choices": ["December", "January", "September", "August"], "answer": 0, "kind": "month", "key": "cf1721e89621c903"}'),
	(2, true, 0, 'choice-mini-shot-0000', '{"id": "choice-mini-shot-0000", "question": "What is 9*9?", "choices": ["71", "81", "80", "82"], "answer": 1, "kind": "product", "key": "10b6f9a1ffc56258"}'),
	(2, true, 1, 'choice-mini-shot-0001', '{"id": "choice-mini-shot-0001", "question": "How many hours are in 2 days?", "choices": ["120", "58", "24", "48"], "answer": 3, "kind": "units", "key": "eb0b1425c2c57f44"}'),
	(3, false, 0, 'gsm-mini-0000', '{"id": "gsm-mini-0000", "question": "9 hens lay 7 eggs each. Nora sells 13 of the eggs. How many eggs are left?", "answer": "The hens lay 9*7=63 eggs.\nThere are 63-13=50 eggs left.\n#### 50", "final": 50, "steps": 2, "kind": "hens", "key": "578e12587699975b"}'),
	(3, false, 1, 'gsm-mini-0001', '{"id": "gsm-mini-0001", "question": "An oven shows 16 degrees. It goes up by 21 degrees and then down by 22 degrees. How many degrees does it show now?", "answer": "It goes up to 16+21=37 degrees.\nIt shows 37-22=15 degrees.\n#### 15", "final": 15, "steps": 2, "kind": "degrees", "key": "f6b9cde19d0e8f7d"}'),
	(3, false, 2, 'gsm-mini-0002', '{"id": "gsm-mini-0002", "question": "Dan is 8 years old. Ben is 2 times as old as Dan. Nora is 7 years younger than Ben. How old is Nora?", "answer": "Ben is 8*2=16 years old.\nNora is 16-7=9 years old.\n#### 9", "final": 9, "steps": 2, "kind": "ages", "key": "d471779c8936b754"}'),
	(3, false, 3, 'gsm-mini-0003', '{"id": "gsm-mini-0003", "question": "Paul finds 13 cans. Victor finds 6 times as many. Omar finds 11 fewer cans than Victor. How many more cans does Omar find than Paul?", "answer": "Victor finds 13*6=78 cans.\nOmar finds 78-11=67 cans.\nThe difference is 67-13=54 cans.\n#### 54", "final": 54, "steps": 3, "kind": "cans", "key": "9f6e52f528a228a4"}'),
	(3, true, 0, 'gsm-mini-shot-0000', '{"id": "gsm-mini-shot-0000", "question": "Emma has 42 cookies. Emma gives half of them to Tina and then finds 83 cookies. How many cookies does Emma have now?", "answer": "Half of them is 42/2=21 cookies.\nEmma has 21+83=104 cookies.\n#### 104", "final": 104, "steps": 2, "kind": "half", "key": "7307124588222a87"}'),
	(3, true, 1, 'gsm-mini-shot-0001', '{"id": "gsm-mini-shot-0001", "question": "Wendy has 9 fences of 17 boards to paint. 76 boards are done. Wendy paints 7 boards per hour. How many hours are still needed?", "answer": "There are 9*17=153 boards.\nStill to do are 153-76=77 boards.\nWendy needs 77/7=11 hours.\n#### 11", "final": 11, "steps": 3, "kind": "fence", "key": "623ed1404b6b77fd"}');
INSERT INTO moecap.verdict (run_no, ordinal, metric, version, kind, extracted, reason, score, unanswered, truncated, graded_at) VALUES
	(2, 0, 'acc', '1', 'correct', 'B', '', 1, false, false, '2026-11-30 12:19:06.920938+00'),
	(2, 0, 'acc_norm', '1', 'correct', 'B', '', 1, false, false, '2026-11-30 12:19:06.92104+00'),
	(2, 1, 'acc', '1', 'correct', 'A', '', 1, false, false, '2026-11-30 12:19:06.921045+00'),
	(2, 1, 'acc_norm', '1', 'correct', 'A', '', 1, false, false, '2026-11-30 12:19:06.921047+00');
INSERT INTO moecap.verdict (run_no, ordinal, metric, version, kind, extracted, reason, score, unanswered, truncated, graded_at) VALUES
	(4, 0, 'exact_match,strict-match', '1', 'wrong', '77', 'differs from the reference', 0, false, false, '2026-11-30 12:19:07.15937+00'),
	(4, 0, 'exact_match,flexible-extract', '1', 'wrong', '77', 'differs from the reference', 0, false, false, '2026-11-30 12:19:07.159487+00'),
	(4, 1, 'exact_match,strict-match', '1', 'wrong', '17', 'differs from the reference', 0, false, false, '2026-11-30 12:19:07.159493+00'),
	(4, 1, 'exact_match,flexible-extract', '1', 'wrong', '17', 'differs from the reference', 0, false, false, '2026-11-30 12:19:07.159495+00'),
	(4, 2, 'exact_match,strict-match', '1', 'wrong', '28', 'differs from the reference', 0, false, false, '2026-11-30 12:19:07.159498+00'),
	(4, 2, 'exact_match,flexible-extract', '1', 'wrong', '28', 'differs from the reference', 0, false, false, '2026-11-30 12:19:07.1595+00');
INSERT INTO moecap.verdict (run_no, ordinal, metric, version, kind, extracted, reason, score, unanswered, truncated, graded_at) VALUES
	(1, 0, 'exact_match,strict-match', '1', 'wrong', '10', 'differs from the reference', 0, false, false, '2026-11-30 12:19:06.768172+00'),
	(1, 0, 'exact_match,flexible-extract', '1', 'wrong', '10', 'differs from the reference', 0, false, false, '2026-11-30 12:19:06.768283+00'),
	(1, 1, 'exact_match,strict-match', '1', 'wrong', '90', 'differs from the reference', 0, false, false, '2026-11-30 12:19:06.768289+00'),
	(1, 1, 'exact_match,flexible-extract', '1', 'wrong', '90', 'differs from the reference', 0, false, false, '2026-11-30 12:19:06.768292+00'),
	(1, 2, 'exact_match,strict-match', '1', 'wrong', '43', 'differs from the reference', 0, false, false, '2026-11-30 12:19:06.768294+00'),
	(1, 2, 'exact_match,flexible-extract', '1', 'wrong', '43', 'differs from the reference', 0, false, false, '2026-11-30 12:19:06.768297+00'),
	(1, 3, 'exact_match,strict-match', '1', 'wrong', '75', 'differs from the reference', 0, false, false, '2026-11-30 12:19:06.768299+00'),
	(1, 3, 'exact_match,flexible-extract', '1', 'wrong', '75', 'differs from the reference', 0, false, false, '2026-11-30 12:19:06.768302+00');
INSERT INTO moecap.verdict (run_no, ordinal, metric, version, kind, extracted, reason, score, unanswered, truncated, graded_at) VALUES
	(3, 0, 'exact_match,strict-match', '1', 'wrong', '[invalid]', 'no answer found before the token limit', 0, true, true, '2026-11-30 12:19:07.069941+00'),
	(3, 0, 'exact_match,flexible-extract', '1', 'wrong', '7', 'differs from the reference, and ended by the token limit', 0, false, true, '2026-11-30 12:19:07.070057+00'),
	(3, 1, 'exact_match,strict-match', '1', 'wrong', '[invalid]', 'no answer found before the token limit', 0, true, true, '2026-11-30 12:19:07.070063+00'),
	(3, 1, 'exact_match,flexible-extract', '1', 'wrong', '16', 'differs from the reference, and ended by the token limit', 0, false, true, '2026-11-30 12:19:07.070066+00');
SELECT pg_catalog.setval('moecap.evaluation_evaluation_no_seq', 5, true);
SELECT pg_catalog.setval('moecap.event_event_id_seq', 42, true);
SELECT pg_catalog.setval('moecap.run_run_no_seq', 5, true);
SELECT pg_catalog.setval('moecap.task_task_id_seq', 3, true);
