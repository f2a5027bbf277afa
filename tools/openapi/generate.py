#!/usr/bin/python3
"""Writes docs/openapi.json: the paths of paths.yaml, with the schema of every message they name.

    tools/openapi/generate.py            writes docs/openapi.json
    tools/openapi/generate.py --check    changes nothing; status 1 when it is not current

The schemas are made from proto/moecap/v1 by the rules of lib/wire (json.c), with the comments of the
.proto as descriptions, so that they cannot say anything else than the programs. A reply has all of its fields but
those of a oneof and those of lib/wire/unknown.def, which are left out while they are unknown; a sub-message that is
not there is null. A request (named with Input behind) may leave
out any field, and null means the same.
"""
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml
from google.protobuf import descriptor_pb2

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = ROOT / "docs" / "openapi.json"
TABLES = ROOT / "web/src/lib/tables.ts"  # by bin/moecap-tables: the knobs of an evaluation, lib/spec/spec.def
PACKAGE = ".moecap.v1."
INTEGERS = {  # type: smallest, largest; None = as far as JSON's readers can tell
    "TYPE_INT32": (-(2**31), 2**31 - 1),
    "TYPE_UINT32": (0, 2**32 - 1),
    "TYPE_INT64": (None, None),
    "TYPE_UINT64": (0, None),
}
Field = descriptor_pb2.FieldDescriptorProto


def read_protos():
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "set"
        files = sorted(str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto/moecap/v1").glob("*.proto"))
        subprocess.run(["protoc", "-I", str(ROOT / "proto"), "--include_source_info", "--descriptor_set_out", str(out)]
                       + files, check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())


class Protos:
    def __init__(self):
        self.messages, self.enums, self.comments = {}, {}, {}
        for file in read_protos().file:
            for place in file.source_code_info.location:
                text = (place.leading_comments + " " + place.trailing_comments).strip()
                if text:
                    self.comments[file.name, tuple(place.path)] = " ".join(text.split())
            for i, message in enumerate(file.message_type):
                self.messages[message.name] = (message, file.name, (4, i))
            for i, enum in enumerate(file.enum_type):
                self.enums[enum.name] = (enum, file.name, (5, i))

    def comment(self, file, path):
        text = self.comments.get((file, path))
        return {"description": text} if text else {}


def read_unknown():
    """{(message, field)} of the fields that are left out while they are zero."""
    rows = re.findall(r"^UNKNOWN\((\w+), (\w+)\)", (ROOT / "lib/wire/unknown.def").read_text(), re.M)
    return {("".join(word.capitalize() for word in message.split("_")), field) for message, field in rows}


def read_tables():
    """The module's one value is JSON."""
    return json.loads(TABLES.read_text().split("tables = ", 1)[1].rsplit(" as const", 1)[0])


def of_knob(knob, schema):
    """What a field of a request may be, as the row of its knob says; null is left as it is."""
    more = {}
    if knob["kind"] == "whole":
        more = {"minimum": knob["min"] if knob.get("tells_zero") else min(knob["min"], 0), "maximum": knob["max"]}
    elif knob["kind"] == "real":
        more = {"exclusiveMinimum" if knob.get("above_low") else "minimum": knob["low"], "maximum": knob["high"]}
    elif knob["kind"] == "list":
        more = {"minItems": 1, "maxItems": knob["max"]}
    elif "words" in knob and "words_when" not in knob:
        more = {"enum": [*knob["words"], None]}
    elif knob["kind"] != "switch":
        more = {"maxLength": knob["max"]}
    example = knob.get("example")
    if example is not None:
        example = json.loads(example) if knob["kind"] in ("whole", "real") else example
        more["examples"] = [[example] if knob["kind"] == "list" else example]
    return {**schema, **more}


def enum_word(enum, value):
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.name).upper() + "_"
    return value.name.removeprefix(prefix).lower()


class Schemas:
    """Made when they are first named, so that only what the paths need is in the document."""

    def __init__(self, protos):
        self.protos, self.made, self.unknown, self.tables = protos, {}, read_unknown(), read_tables()
        self.knobs = {knob["path"]: knob for knob in self.tables["knobs"]}
        spec = protos.messages["EvaluationSpec"][0]
        # the parts of an evaluation: Load is under "load."
        self.part = {f.type_name.removeprefix(PACKAGE): f.name + "." for f in spec.field if f.type_name}
        self.part["EvaluationSpec"] = ""

    def ref(self, name):
        if name not in self.made:
            self.made[name] = {}  # so that a name inside finds it
            base = name.removesuffix("Input")
            if base in self.protos.enums:
                self.made[name] = self.enum(base)
            else:
                self.made[name] = self.message(base, name != base)
        return {"$ref": f"#/components/schemas/{name}"}

    def enum(self, name):
        enum, file, path = self.protos.enums[name]
        return {"type": "string", "enum": [enum_word(enum, v) for v in enum.value],
                **self.protos.comment(file, path)}

    def message(self, name, is_input):
        message, file, path = self.protos.messages[name]
        properties, required, exclusive = {}, [], {}
        for i, field in enumerate(message.field):
            schema = self.field(field, is_input)
            properties[field.name] = {**schema, **self.protos.comment(file, path + (2, i))}
            knob = self.knobs.get(self.part.get(name, "?") + field.name)
            if is_input and knob:
                properties[field.name] = of_knob(knob, properties[field.name])
            if field.HasField("oneof_index"):
                exclusive.setdefault(field.oneof_index, []).append(field.name)
            elif (name, field.name) not in self.unknown:
                required.append(field.name)
        schema = {"type": "object", **self.protos.comment(file, path), "properties": properties,
                  "additionalProperties": False}
        if required and not is_input:
            schema["required"] = required
        for names in exclusive.values():
            if len(names) > 1:  # at most one of them
                schema["not"] = {"required": names}
        return schema

    def field(self, field, is_input):
        schema = self.scalar(field, is_input)
        if field.label == Field.LABEL_REPEATED:
            schema = {"type": "array", "items": schema}
        return or_null(schema) if is_input or (field.type == Field.TYPE_MESSAGE
                                               and field.label != Field.LABEL_REPEATED) else schema

    def scalar(self, field, is_input):
        kind = Field.Type.Name(field.type)
        name = field.type_name.removeprefix(PACKAGE)
        if kind == "TYPE_MESSAGE":
            return self.ref(name + ("Input" if is_input else ""))
        if kind == "TYPE_ENUM":
            return self.ref(name)
        if kind in INTEGERS:
            low, high = INTEGERS[kind]
            return {"type": "integer", **({"minimum": low} if low is not None else {}),
                    **({"maximum": high} if high is not None else {})}
        if kind == "TYPE_DOUBLE":  # what is no number has no JSON
            return {"type": "number"} if is_input else {"type": ["number", "null"]}
        if kind == "TYPE_BYTES":
            return {"type": "string", "pattern": "^([0-9a-f]{2})*$"}
        return {"TYPE_STRING": {"type": "string"}, "TYPE_BOOL": {"type": "boolean"}}[kind]


def or_null(schema):
    if "type" in schema and isinstance(schema["type"], str):
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def resolve(node, schemas):
    """{message: NAME} stands for a reply's schema, {input: NAME} for a request's, {words: NAME} for a list of words.

    In a list {knobs: GROUP} stands for a parameter of the query for each knob of that group."""
    if isinstance(node, dict):
        if set(node) == {"message"}:
            return schemas.ref(node["message"])
        if set(node) == {"input"}:
            return schemas.ref(node["input"] + "Input")
        if set(node) == {"words"}:
            return schemas.tables[node["words"]]
        return {key: resolve(value, schemas) for key, value in node.items()}
    if isinstance(node, list):
        return [item for value in node for item in (
            query_of_knobs(value["knobs"], schemas.tables) if isinstance(value, dict) and set(value) == {"knobs"}
            else [resolve(value, schemas)])]
    return node


def query_of_knobs(group, tables):
    return [{"name": knob["id"], "in": "query", "schema": of_knob(knob, {"type": "number"}),
             "description": f"{knob['help'][0].upper()}{knob['help'][1:]}; else: {knob['unset']}."}
            for knob in tables["knobs"] if knob["group"] == group]


def document():
    paths = yaml.safe_load((ROOT / "tools/openapi/paths.yaml").read_text())
    version = re.search(r"project\(moecap VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
    schemas = Schemas(Protos())
    made = resolve(paths, schemas)
    made["info"]["version"] = version.group(1)
    made["components"]["schemas"] = {**made["components"]["schemas"], **dict(sorted(schemas.made.items()))}
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def main():
    text = document()
    if sys.argv[1:] != ["--check"]:
        OUT.write_text(text)
        return 0
    if OUT.read_text() == text:
        return 0
    print(f"{OUT.relative_to(ROOT)} is not current; run tools/openapi/generate.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
