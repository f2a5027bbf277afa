#!/usr/bin/python3
"""What deploy/docker/compose.yaml and the Dockerfile say, for tests: so that these cannot drift from what is deployed.

    read.py check            every setting and flag exists, versions agree, every service is contained; prints what is not
    read.py order            services in the order in which they may start, those without a profile
    read.py process SERVICE  the program of its image, its environment as NAME=VALUE, then --, then its arguments
    read.py field SERVICE F  one field of a service, as text

Values are those that a site gets which sets nothing.
"""
import os
import re
import sys

import yaml

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
COMPOSE = "deploy/docker/compose.yaml"
DOCKERFILE = "deploy/docker/Dockerfile"
CONTAINED = {"read_only": True, "cap_drop": ["ALL"], "security_opt": ["no-new-privileges:true"]}
FLAGS_OF_EVERY_PROGRAM = {"listen"}
# Variables that are not settings of config.def: of the command line, of an image that is not ours.
OTHER_VARIABLES = {"MOECAP_SERVER"}


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def read_compose():
    """The file with ${NAME:-default} replaced by the default."""
    text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text_of(COMPOSE))
    return yaml.safe_load(text)


def read_stages():
    """Stage -> {"ENTRYPOINT": [...], "CMD": [...], "HEALTHCHECK": [...], "USER": text}."""
    stages, stage = {}, None
    for line in text_of(DOCKERFILE).replace("\\\n", " ").splitlines():
        if match := re.match(r"FROM \S+ AS (\w+)", line):
            stage = stages.setdefault(match[1], {})
        elif match := re.match(r"(ENTRYPOINT|CMD) (\[.*\])", line):
            stage[match[1]] = yaml.safe_load(match[2])
        elif match := re.match(r"HEALTHCHECK .*CMD (\[.*\])", line):
            stage["HEALTHCHECK"] = yaml.safe_load(match[1])
        elif match := re.match(r"USER (.*)", line):
            stage["USER"] = match[1]
    return stages


def settings_of(program):
    return set(re.findall(r"^CONF\((\w+),", text_of(f"services/{program}/config.def"), re.M))


def stage_of(service):
    return re.match(r"moecap-(\w+):", service["image"])[1]


def in_order(services):
    done = []
    while len(done) < len(services):
        ready = [n for n, s in services.items()
                 if n not in done and all(d in done for d in s.get("depends_on", {}))]
        if not ready:
            sys.exit(f"{COMPOSE}: depends_on goes in a circle")
        done += ready
    return done


# ---- check ----

def check_settings(name, service, stage, complain):
    programs = {p: settings_of(p) for p in ("store", "scheduler", "evaluator", "inference", "gateway")}
    for variable in service.get("environment", {}):
        match = re.match(r"MOECAP_([A-Z]+)_([A-Z0-9_]+)$", variable)
        known = match and match[2].lower() in programs.get(match[1].lower(), ())
        if not known and variable not in OTHER_VARIABLES:
            complain(f"{COMPOSE}: {name}: {variable} is no setting of config.def")
        elif known and match[1].lower() != stage_of(service):
            complain(f"{COMPOSE}: {name}: {variable} is of another program")
    for flag in [a[2:].replace("-", "_") for a in stage.get("CMD", []) if a.startswith("--")]:
        if flag not in programs.get(stage_of(service), set()) | FLAGS_OF_EVERY_PROGRAM:
            complain(f"{DOCKERFILE}: {stage_of(service)}: --{flag} is no setting of config.def")


def check_service(name, service, stages, version, complain):
    stage = stages.get(stage_of(service))
    if stage is None:
        complain(f"{COMPOSE}: {name}: the Dockerfile has no stage for {service['image']}")
        return
    check_settings(name, service, stage, complain)
    if not service["image"].endswith(":" + version):
        complain(f"{COMPOSE}: {name}: {service['image']} is not of version {version}")
    for key, value in CONTAINED.items():
        if service.get(key) != value:
            complain(f"{COMPOSE}: {name}: {key} is {service.get(key)}, not {value}")
    limits = service.get("deploy", {}).get("resources", {}).get("limits", {})
    if "profiles" not in service and not {"cpus", "memory"} <= set(limits):
        complain(f"{COMPOSE}: {name} has no limits of cpus and memory")
    if "USER" not in stage:
        complain(f"{DOCKERFILE}: the stage of {name} runs as root")
    if stage_of(service) != "cli" and "HEALTHCHECK" not in stage:
        complain(f"{DOCKERFILE}: the stage of {name} has no HEALTHCHECK")
    if "ports" in service and (name != "gateway" or not str(service["ports"][0]).startswith("127.0.0.1:")):
        complain(f"{COMPOSE}: {name} publishes {service['ports']}")
    if "container_name" in service:
        complain(f"{COMPOSE}: {name} has a fixed name and cannot be scaled")


def check(compose, stages):
    bad = []
    version = re.search(r"^project\(moecap VERSION ([\d.]+)", text_of("CMakeLists.txt"), re.M)[1]
    for stated in re.findall(r"^ARG VERSION=(.*)$", text_of(DOCKERFILE), re.M):
        if stated != version:
            bad.append(f"{DOCKERFILE}: ARG VERSION is {stated}, not {version}")
    for name, service in compose["services"].items():
        check_service(name, service, stages, version, bad.append)
    print("\n".join(bad) or f"{len(compose['services'])} services: settings, versions, limits, users as they should be")
    return 1 if bad else 0


def main():
    compose, stages = read_compose(), read_stages()
    services = compose["services"]
    verb, arguments = sys.argv[1], sys.argv[2:]
    if verb == "check":
        return check(compose, stages)
    if verb == "order":
        print(*in_order({n: s for n, s in services.items() if "profiles" not in s}))
    elif verb == "process":
        service = services[arguments[0]]
        stage = stages[stage_of(service)]
        print(stage["ENTRYPOINT"][0])
        for variable, value in service.get("environment", {}).items():
            print(f"{variable}={value}")
        print("--", *stage["ENTRYPOINT"][1:], *service.get("command", stage.get("CMD", [])), sep="\n")
    elif verb == "field":
        print(services[arguments[0]][arguments[1]])
    return 0


sys.exit(main())
