"""A client in Python: every kind of call, metadata, rich status, deadline, cancellation, health.

    interop.py TARGET FOLDER      FOLDER holds the messages that protoc made
"""

import importlib.util
import sys

import grpc

target, folder = sys.argv[1:]


def load(name):
    """By path: a folder grpc/ beside the library of that name would hide it."""
    spec = importlib.util.spec_from_file_location(name.replace("/", "_"), f"{folder}/{name}_pb2.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


echo, health, status = load("echo"), load("grpc/health/v1/health"), load("google/rpc/status")
channel = grpc.insecure_channel(target)


def method(kind, path, reply):
    return getattr(channel, kind)(
        path, request_serializer=lambda m: m.SerializeToString(), response_deserializer=reply.FromString)


say = method("unary_unary", "/moecap.test.Echo/Say", echo.EchoReply)
count = method("unary_stream", "/moecap.test.Echo/Count", echo.EchoReply)
total = method("stream_unary", "/moecap.test.Echo/Sum", echo.EchoReply)
chat = method("stream_stream", "/moecap.test.Echo/Chat", echo.EchoReply)
check = method("unary_unary", "/grpc.health.v1.Health/Check", health.HealthCheckResponse)
watch = method("unary_stream", "/grpc.health.v1.Health/Watch", health.HealthCheckResponse)
shout = method("unary_unary", "/moecap.test.Echo/Shout", echo.EchoReply)
SERVING = health.HealthCheckResponse.SERVING


def failure(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call did not fail")


def requests(n):
    return (echo.EchoRequest(text="ping", number=i) for i in range(n))


# the four kinds
reply, call = say.with_call(echo.EchoRequest(text="hé", number=41), metadata=[("x-token", "s3cret")], timeout=10)
assert (reply.text, reply.number) == ("hé|s3cret", 42), reply
assert ("x-answer-bin", b"\0\1\2") in [tuple(m) for m in call.initial_metadata()], call.initial_metadata()
assert ("x-end", "over") in [tuple(m) for m in call.trailing_metadata()]
assert [r.number for r in count(echo.EchoRequest(number=1000), timeout=10)] == list(range(1000))
assert total(requests(1000), timeout=10).number == 499500
assert [r.number for r in chat(requests(100), timeout=10)] == list(range(100))
large = b"x" * (3 << 20)
assert say(echo.EchoRequest(payload=large), timeout=10).payload == large
assert say(echo.EchoRequest(payload=large), timeout=10, compression=grpc.Compression.Gzip).payload == large

# failures
error = failure(lambda: say(echo.EchoRequest(text="fail", number=5), timeout=10))
assert error.code() == grpc.StatusCode.NOT_FOUND and error.details() == "prüfung: 100 % falsch", error
packed = dict(tuple(m) for m in error.trailing_metadata())["grpc-status-details-bin"]
rich = status.Status.FromString(packed)
assert rich.code == 5 and rich.details[0].type_url == "type.googleapis.com/moecap.test.EchoRequest", rich
error = failure(lambda: shout(echo.EchoRequest(), timeout=10))
assert error.code() == grpc.StatusCode.UNIMPLEMENTED and "/moecap.test.Echo/Shout" in error.details(), error
error = failure(lambda: say(echo.EchoRequest(text="sleep", number=5000), timeout=0.2))
assert error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, error
stream = count(echo.EchoRequest(number=10**6, payload=b"x" * 1000), timeout=30)
next(stream)
stream.cancel()
assert failure(lambda: list(stream)).code() == grpc.StatusCode.CANCELLED

# health
for service in ("", "moecap.test.Echo"):
    assert check(health.HealthCheckRequest(service=service), timeout=10).status == SERVING
error = failure(lambda: check(health.HealthCheckRequest(service="nobody"), timeout=10))
assert error.code() == grpc.StatusCode.NOT_FOUND, error
watching = watch(health.HealthCheckRequest(), timeout=10)
assert next(watching).status == SERVING
watching.cancel()
channel.close()
print(f"python grpc {grpc.__version__}: every call as expected")
