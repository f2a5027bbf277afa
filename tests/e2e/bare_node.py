"""A node that says nothing that it need not say: answers without counts, times or passes, a report without a field.

    bare_node.py SCHEDULER FOLDER ANSWERS     FOLDER holds the messages that protoc made

ANSWERS is "bare", or "zero": then every optional number of an answer is there, and is 0. It offers the model "bare",
runs one shard after another, and ends with its standard input.
"""

import hashlib
import queue
import sys
import threading

import grpc

scheduler, folder, kind = sys.argv[1:]
sys.path.append(folder)
from moecap.v1 import common_pb2, inference_pb2, scheduler_pb2  # noqa: E402

to_send = queue.Queue()
channel = grpc.insecure_channel(scheduler)
work = channel.stream_stream(
    "/moecap.v1.Scheduler/Work",
    request_serializer=lambda m: m.SerializeToString(),
    response_deserializer=scheduler_pb2.NodeCommand.FromString,
)
lease = None
prompts = []


def send(**body):
    to_send.put(scheduler_pb2.NodeMessage(**body))


def answer_of(prompt):
    answer = inference_pb2.SampleAnswer(
        ordinal=prompt.ordinal, uid=prompt.uid, status=inference_pb2.SAMPLE_STATUS_COMPLETED, text="none"
    )
    if kind == "zero":
        answer.prompt_tokens = answer.output_tokens = answer.cached_tokens = 0
        answer.timing.submitted_us = answer.timing.ended_us = 0
        answer.timing.first_token_us = answer.timing.last_token_us = 0
    return answer


def finish():
    rows = inference_pb2.AnswerRows(
        answers=[answer_of(p) for p in prompts], report=inference_pb2.ShardReport()
    ).SerializeToString()
    send(
        answers=inference_pb2.AnswerBatch(
            lease=lease,
            seq=seq,
            sha256=hashlib.sha256(rows).digest(),
            rows=rows,
            answers=len(prompts),
            completed=len(prompts),
            last=True,
        )
    )


def beat():
    held = [lease] if lease else []
    send(beat=inference_pb2.NodeBeat(leases=held))
    timer = threading.Timer(1, beat)
    timer.daemon = True
    timer.start()


send(
    hello=inference_pb2.NodeHello(
        name="bare-node",
        version="1",
        engines=["native"],
        precisions=["bf16"],
        models=[inference_pb2.NodeModel(name="bare", path="/bare", family="qwen3_moe")],
        hardware=inference_pb2.NodeHardware(),
    )
)
beat()
replies = work(iter(to_send.get, None))
threading.Thread(target=lambda: (sys.stdin.read(), replies.cancel()), daemon=True).start()
try:
    for command in replies:
        body = command.WhichOneof("body")
        if body == "assign":
            lease, seq, prompts = command.assign.lease, command.assign.seq_next, []
        elif body == "prompts":
            prompts.extend(command.prompts.prompts)
            if command.prompts.last:
                finish()
        elif body == "ack":
            lease = None
        elif body == "stop":
            send(stopped=lease)
except grpc.RpcError:
    pass
