"""Asks a running suite for everything that docs/openapi.json describes, and checks each reply against it.

    openapi.py URL STORE_PID

Fails when the document does not hold together, when a reply is not as described (status, type, schema), when a
documented status or parameter is never met, and when the gateway knows a path, method or parameter that the
document does not.
"""
import http.client
import json
import os
import pathlib
import re
import signal
import sys
import time
import urllib.parse

import jsonschema

ROOT = pathlib.Path(__file__).resolve().parents[2]
URL, STORE_PID = urllib.parse.urlsplit(sys.argv[1]), int(sys.argv[2])
DOCUMENT = json.loads((ROOT / "docs/openapi.json").read_text())
TIMEOUT_S = 60
NEVER_MET = {("nodes", "304")}  # the time since a node's last beat is another with each millisecond
met = set()        # (operation, status)
met_parameters = set()  # (operation, name)


def fail(text):
    sys.exit(f"FAILED: {text}")


# ---- the document ----

def deref(node):
    while "$ref" in node:
        target = DOCUMENT
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = target
    return node


def operations():
    for path, item in DOCUMENT["paths"].items():
        for method in ("get", "post"):
            if method in item:
                yield path, method, item[method]


def parameters_of(path, operation):
    shared = DOCUMENT["paths"][path].get("parameters", [])
    return [deref(p) for p in shared + operation.get("parameters", [])]


def check_document():
    def walk(node):
        if isinstance(node, dict):
            if "$ref" in node:
                deref(node)
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)

    walk(DOCUMENT)
    for schema in DOCUMENT["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    ids = [operation["operationId"] for _, _, operation in operations()]
    if len(ids) != len(set(ids)):
        fail(f"an operationId is there twice: {ids}")
    for path, _, operation in operations():
        in_path = {p["name"] for p in parameters_of(path, operation) if p["in"] == "path"}
        if in_path != set(re.findall(r"{(\w+)}", path)):
            fail(f"{path} has other parameters than it names: {in_path}")


def validate(value, schema, where):
    resolver = jsonschema.RefResolver.from_schema(DOCUMENT)
    validator = jsonschema.Draft202012Validator(schema, resolver=resolver)
    error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    if error:
        fail(f"{where}: {error.json_path}: {error.message[:600]}")


# ---- requests ----

def send(method, target, headers=None, body=None):
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=TIMEOUT_S)
    connection.request(method, target, body=body, headers=headers or {})
    reply = connection.getresponse()
    data = reply.read()
    connection.close()
    return reply, data.decode("utf-8", "replace")


def events_of(text):
    for block in text.split("\n\n"):
        lines = block.split("\n")
        data = [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]
        name = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
        if data:
            yield (name or ["message"])[0], json.loads("\n".join(data))


def check_reply(path, operation, status, content_type, text, where):
    responses = operation["responses"]
    response = deref(responses.get(status) or responses["default"])
    met.add((operation["operationId"], status))
    if "content" not in response:
        if text:
            fail(f"{where}: {status} should have no body")
        return None
    kind = content_type.split(";")[0]
    if kind not in response["content"]:
        fail(f"{where}: {status} is {kind}, not one of {list(response['content'])}")
    schema = response["content"][kind]["schema"]
    if kind == "application/json":
        value = json.loads(text)
        validate(value, schema, where)
        return value
    if kind == "text/event-stream":
        for name, value in events_of(text):
            if name != "error":
                validate(value, schema, f"{where}, event {name}")
    return text


def ask(operation_id, wanted, path_values=None, headers=None, body=None, **query):
    """One request of an operation; its reply's value, after checking it against the document."""
    path, method, operation = next(o for o in operations() if o[2]["operationId"] == operation_id)
    known = {p["name"]: p for p in parameters_of(path, operation) if p["in"] == "query"}
    for name, value in query.items():
        if name in known and wanted < 400:
            schema = deref(known[name]["schema"])
            validate(int(value) if schema["type"] == "integer" else value, schema, f"{operation_id} {name}")
            met_parameters.add((operation_id, name))
    target = path.format(**(path_values or {})) + ("?" + urllib.parse.urlencode(query) if query else "")
    headers = dict(headers or {})
    if method == "post" and body is not None:
        headers.setdefault("Content-Type", "application/json")
        body = body if isinstance(body, (bytes, str)) else json.dumps(body)
    reply, text = send(method.upper(), target, headers, body)
    where = f"{method.upper()} {target}"
    if reply.status != wanted:
        fail(f"{where}: {reply.status}, not {wanted}: {text[:600]}")
    value = check_reply(path, operation, str(reply.status), reply.headers.get("Content-Type", ""), text, where)
    return value, reply


def listen(operation_id, path_values=None):
    """The first event of a stream that would go on."""
    path, _, operation = next(o for o in operations() if o[2]["operationId"] == operation_id)
    connection = http.client.HTTPConnection(URL.hostname, URL.port, timeout=TIMEOUT_S)
    connection.request("GET", path.format(**(path_values or {})))
    reply = connection.getresponse()
    text = b""
    while reply.status == 200 and text.count(b"\n\n") < 2:  # retry, then a message
        text += reply.read1(65536)
    if reply.status != 200:
        text = reply.read()
    check_reply(path, operation, str(reply.status), reply.headers["Content-Type"],
                text.decode().rsplit("\n\n", 1)[0] + "\n\n" if reply.status == 200 else text.decode(), path)
    return connection, reply.status


def wait_for_place():
    """A reader who has left is noticed within a second or two."""
    until = time.monotonic() + TIMEOUT_S
    status = 429
    while status == 429 and time.monotonic() < until:
        time.sleep(0.2)
        connection, status = listen("watchQueue")
        connection.close()


# ---- what is asked ----

def check_lists(run):
    board, _ = ask("board", 200)
    row = board["rows"][0]
    if row["run_id"] != run or not row["figures"]:
        fail("the board does not show the run")
    figure = row["figures"][0]["id"]
    ask("board", 200, model=row["spec"]["model"], task=row["task"], engine=row["spec"]["engine"],
        precision=row["spec"]["precision"], evaluation=row["evaluation_id"], state="finished", limit=1)
    _, reply = ask("board", 200, all=1, figures=figure, report=0, limit=1, format="csv")
    counted, _ = ask("board", 200, counts=1, limit=1)
    if not counted["counts"]:
        fail("the board counts no runs")
    alike, _ = ask("board", 200, question=row["question"])
    if any(other["question"] != row["question"] for other in alike["rows"]) or not alike["rows"]:
        fail("the board of one question holds another, or nothing")
    ask("board", 200, after=run)
    ask("board", 400, after="nowhere")
    run_path = {"run_id": run}
    ask("run", 200, run_path)
    samples, reply = ask("samples", 200, run_path, limit=2)
    if samples["next_after"] != 1 or 'rel="next"' not in reply.headers["Link"]:
        fail("two samples of eight have no next page")
    ask("samples", 200, run_path, limit=500, after=1, verdict="correct", status="completed", search="a", routing=1)
    ask("samples", 200, run_path, format="csv")
    ask("samples", 400, run_path, after="x")
    ask("experts", 200, run_path, limit=1, format="json")
    page, _ = ask("experts", 200, run_path, limit=1)
    ask("experts", 200, run_path, after=page["next_after"])
    ask("experts", 400, run_path, after="x")
    for operation, values in (("runEvents", run_path), ("events", None)):
        page, _ = ask(operation, 200, values, limit=1)
        ask(operation, 200, values, after=page["next_after"], format="csv")
        ask(operation, 400, values, limit=0)
    ask("events", 200, run=run)
    inputs = dict(rent=2.5, price=3e4, device_watts=700, lifetime_hours=26280, utilisation=0.5, overhead=1.2, pue=1.3,
                  tariff=0.12, host_price=14428, host_watts=700)
    rented, _ = ask("cost", 200, run_path, **inputs)
    bought, _ = ask("cost", 200, run_path, **{**inputs, "from": "defaults"})
    if not rented["basis"]["rented"] or rented["figures"] != bought["figures"]:
        fail("a run without inputs of its own costs the same from its own and from the defaults")
    refused, _ = ask("cost", 400, run_path, pue=0.5)
    if refused["error"]["field"] != "pue":
        fail(f"the wrong parameter is pue, not {refused['error']['field']}")
    same, _ = ask("compareRouting", 200, run_path, **{"with": run, "same_model": 1})
    values = {figure["id"]: figure.get("value") for figure in same["figures"]}
    if values["routing_samples_moved"] != 0 or values["accuracy_change"] != 0 or values["routing_jaccard_decode"] != 1:
        fail(f"a run moved against itself: {values}")
    ask("compareRouting", 400, run_path)
    ask("compareRouting", 404, {"run_id": "run-none"}, **{"with": run})
    for operation in ("run", "samples", "experts", "cost"):
        ask(operation, 404, {"run_id": "run-none"})
    for operation in ("nodes", "tasks"):
        ask(operation, 200)
        page, _ = ask(operation, 200, limit=1, format="json")
        last = page[operation][0]
        place = page.get("next_after") or f"{last['hello']['name']}:{last['node_id']}"
        ask(operation, 200, after=place)
        ask(operation, 400, limit="many")
    ask("tasks", 200, definition=0)


def check_plots(run):
    """A picture of one run and of several, in every form, and what is refused."""
    every = dict(theme="dark", phase="prefill", absolute=1, sorted=1, relative=1, metric="e2e")
    for form, opening in (("svg", "<svg "), ("json", "{"), ("pdf", "%PDF-")):
        for picture in ("ecdf", "activation", "heatmap", "radar"):
            path = {"picture": f"{picture}.{form}"}
            text, _ = ask("plotRun", 200, {"run_id": run, **path}, **every)
            if form != "json" and not text.startswith(opening):
                fail(f"{picture}.{form} begins with {text[:20]}")
            ask("plot", 200, path, runs=run, **every)
    many, _ = ask("plot", 200, {"picture": "sweep.json"}, runs=f"{run},{run}")
    if many["picture"] != "sweep" or len(many["series"][0]["points"]) != 2:
        fail(f"a sweep of two runs has other points: {many}")
    reply, _ = send("GET", f"/api/v1/runs/{run}/plot/heatmap.png")
    if reply.status != 200 or reply.headers["Content-Type"] != "image/png":
        fail(f"a PNG is {reply.status} {reply.headers['Content-Type']}")
    for path in ("heatmp.svg", "heatmap.gif", "heatmap", ".svg"):
        ask("plotRun", 404, {"run_id": run, "picture": path})
        ask("plot", 404, {"picture": path}, runs=run)
    ask("plotRun", 404, {"run_id": "run-none", "picture": "ecdf.svg"})
    ask("plotRun", 400, {"run_id": run, "picture": "ecdf.svg"}, theme="pink")
    ask("plot", 400, {"picture": "ecdf.svg"})
    ask("plot", 400, {"picture": "heatmap.svg"}, runs=f"{run},{run}")
    ask("plot", 400, {"picture": "pareto.svg"}, runs=",".join([run] * 65))
    return {"plot": {"runs": run}}


def check_compare(rows):
    first, second = [r for r in rows if r["spec"].get("limit") == 8 and r["state"] == "finished"][:2]
    run, other = first["run_id"], second["run_id"]
    pairs, _ = ask("compare", 200, runs=f"{other},{run}")
    if pairs["samples"] != 8 or pairs["run_b"] != run:
        fail("two runs of eight samples do not pair")
    same, _ = ask("compare", 200, runs=f"{other},{run}")
    if same != pairs:
        fail("the same two runs compare differently")
    ask("compare", 400, runs=run)
    ask("compare", 404, runs=f"{run},run-none")
    evaluation = first["evaluation_id"]
    repeats, _ = ask("repeats", 200, evaluation=evaluation)
    if repeats["groups"][0]["run_ids"] != [run]:
        fail("an evaluation of one run has no group of it")
    ask("repeats", 400)
    ask("repeats", 404, evaluation="eval-none")
    return {"compare": {"runs": f"{other},{run}"}, "repeats": {"evaluation": evaluation}, "compareRouting": {"with": run}}


def check_queue():
    """Runs that wait for a node that never comes."""
    waiting = {"spec": {"model": "/no/node/has/it", "tasks": ["gsm-mini"], "repeats": 3}}
    made, _ = ask("submit", 201, body=waiting)
    ask("submit", 200, body=waiting)
    page, _ = ask("queue", 200, limit=1, order="arrival")
    ask("queue", 200, after=page["next_after"], format="csv")
    ask("queue", 200, order="position", format="json")
    ask("queue", 400, after="nowhere")
    streams = [listen("watchQueue"), listen("watch", {"id": made["evaluation_id"]}),
               listen("watchQueue"), listen("watch", {"id": made["runs"][0]["run_id"]})]
    if [status for _, status in streams] != [200] * 4:
        fail(f"four streams: {[status for _, status in streams]}")
    for operation, values in (("watchQueue", None), ("watch", {"id": "x"})):
        connection, status = listen(operation, values)
        connection.close()
        if status != 429:
            fail(f"a fifth stream is {status}")
    for connection, _ in streams:
        connection.close()
    wait_for_place()
    ask("watchQueue", 400, nothing=1)
    ask("watch", 400, {"id": "x"}, nothing=1)
    ask("cancel", 200, body={"id": made["evaluation_id"], "reason": "only a test"})
    ask("cancel", 404, body={"id": "run-none"})
    ask("cancel", 400, body={"id": ""})
    ask("cancel", 415, headers={"Content-Type": "text/plain"}, body="{}")
    return made["evaluation_id"]


def check_submit():
    ask("submit", 200, body={"dry_run": True, "spec": {"model": "moecap-tiny", "tasks": ["gsm-mini"], "note": "é"}})
    ask("submit", 404, body={"spec": {"model": "moecap-tiny", "tasks": ["gsm-mni"]}})
    refused, _ = ask("submit", 400, body={"spec": {"model": "moecap-tiny", "tasks": ["gsm-mni"], "repeats": 101}})
    if sorted(f["field"] for f in refused["error"]["fields"]) != ["spec.repeats", "spec.tasks[0]"]:
        fail(f"the wrong fields are {refused['error']['fields']}")
    for body in ("{", "[]", '{"spec": {"limit": -1}}', '{"spec": 5}', '{"spec": {}, "spec": {}}', "\xff"):
        ask("submit", 400, body=body.encode("latin-1"))
    ask("submit", 413, body=b" " * 2_000_000)
    ask("submit", 415, headers={"Content-Type": "application/xml"}, body="<x/>")


def check_estimate():
    config = (ROOT / "models/moecap-tiny/config.json").read_text()
    reply, _ = ask("estimate", 200, body={"model_config": config, "hardware": "H100-SXM", "context_tokens": 512})
    if not any(f["id"] == "floor_ms" and f.get("value", 0) > 0 for f in reply["figures"]):
        fail(f"an estimate has no floor: {reply['figures']}")
    ask("estimate", 200, body={"model_config": config, "context_tokens": 512, "phase": "prefill", "step_time_s": 1})
    ask("estimate", 404, body={"model_config": config, "hardware": "RTX 99", "context_tokens": 512})
    ask("estimate", 400, body={"model_config": "", "context_tokens": 512})
    ask("estimate", 415, headers={"Content-Type": "text/plain"}, body="{}")


def check_health():
    for operation in ("health", "metrics", "ready", "info", "openapi"):
        value, _ = ask(operation, 200)
    if value != DOCUMENT:
        fail("the gateway serves another document than docs/openapi.json")
    os.kill(STORE_PID, signal.SIGSTOP)
    try:
        ask("ready", 503)
    finally:
        os.kill(STORE_PID, signal.SIGCONT)


def check_unchanged(run, pair):
    for path, method, operation in operations():
        if "304" in operation["responses"]:
            values = {"run_id": run, "picture": "ecdf.svg"}
            for _ in range(5):  # what is alive may change in between
                query = pair.get(operation["operationId"], {})
                _, reply = ask(operation["operationId"], 200, values, **query)
                target = path.format(**values) + ("?" + urllib.parse.urlencode(query) if query else "")
                again, text = send("GET", target, {"If-None-Match": reply.headers["ETag"]})
                if again.status == 304:
                    break
            check_reply(path, operation, str(again.status), again.headers.get("Content-Type", ""), text, target)


def check_edges(run):
    """Methods and parameters: the gateway's own lists are those of the document."""
    values = {"run_id": run, "id": "x", "picture": "ecdf.svg"}
    for path, method, operation in operations():
        reply, _ = send("OPTIONS", path.format(**values))
        methods = {m.lower() for m in reply.headers["Allow"].split(", ")} - {"head", "options"}
        documented = {m for m in ("get", "post") if m in DOCUMENT["paths"][path]}
        if methods != documented:
            fail(f"{path} allows {methods}, the document says {documented}")
        if path in ("/metrics", "/healthz", "/readyz") or path.startswith("/api/"):
            body = "{}" if method == "post" else None
            reply, text = send(method.upper(), path.format(**values) + "?no_such=1",
                               {"Content-Type": "application/json"}, body)
            message = json.loads(text)["error"]["message"]
            found = re.search(r"known: (.*)|takes no parameters", message)
            known = found.group(1) or "none"
            names = {p["name"] for p in parameters_of(path, operation) if p["in"] == "query"}
            if reply.status != 400 or (set(known.split(", ")) if known != "none" else set()) != names:
                fail(f"{path} knows the parameters {known}, the document says {sorted(names)}")
    for path in re.findall(r'\{"(?:GET|POST)", "(/[^"]*)"', (ROOT / "services/gateway/routes.c").read_text()):
        if path != "/*" and not any(re.sub(r"{\w+}", "*", known).startswith(path.rstrip("*"))
                                    for known in DOCUMENT["paths"]):
            fail(f"{path} is not in the document")


def check_complete():
    for _, _, operation in operations():
        name = operation["operationId"]
        for status in operation["responses"]:
            if status != "default" and (name, status) not in met and (name, status) not in NEVER_MET:
                fail(f"{name} never answered {status}")
    for path, _, operation in operations():
        for parameter in parameters_of(path, operation):
            if parameter["in"] == "query" and (operation["operationId"], parameter["name"]) not in met_parameters:
                fail(f"{operation['operationId']} was never asked with {parameter['name']}")


def main():
    check_document()
    board, _ = ask("board", 200)
    run = board["rows"][0]["run_id"]
    check_lists(run)
    pair = {**check_compare(board["rows"]), **check_plots(run)}
    check_queue()
    ask("watch", 200, {"id": run})
    check_submit()
    check_estimate()
    check_unchanged(run, pair)
    check_edges(run)
    check_health()
    check_complete()
    print(f"{len(met)} statuses of {len(list(operations()))} operations, {len(met_parameters)} parameters")


main()
