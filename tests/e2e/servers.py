"""Servers that speak OpenAI's HTTP and cheat, each in one way, and one that does not.

    servers.py         writes "NAME URL" a line for each of them, and ends with its standard input

A prompt takes 4 ms a word, a token 15 ms, as in a small model on a slow machine; the answer is drawn by the prompt.
"""

import hashlib
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PREFILL_S, TOKEN_S, ANSWER_TOKENS = 0.004, 0.015, 16
MODES = ["honest", "cached", "padded", "early", "held", "blank", "quick"]


def words_of(prompt, count):
    digest = hashlib.sha256(prompt.encode()).hexdigest() * 2
    return [digest[i % 60 : i % 60 + 4] + " " for i in range(count)]


class Server(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # it would hold the first chunk back for 40 ms

    def log_message(self, *_):
        pass

    def reply(self, body):
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        if self.path == "/v1/models":
            self.reply({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "nobody"}]})
        else:
            self.send_error(404)

    def event(self, text, reason=None, usage=None):
        choices = [] if usage else [{"index": 0, "text": text, "finish_reason": reason}]
        body = {"id": "c", "object": "text_completion", "model": "m", "choices": choices, "usage": usage}
        data = f"data: {json.dumps(body)}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        mode, prompt, server = self.server.mode, asked["prompt"], self.server
        count = min(ANSWER_TOKENS, asked["max_tokens"])
        with server.lock:
            seen = prompt in server.seen
            server.seen.add(prompt)
            server.taken += 1
            server.in_flight += 1
            timed = server.in_flight > 1  # the audit asks alone
        if mode == "blank" and server.taken % 2 and asked["max_tokens"] > 1:
            count = 0
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if mode == "early":
            self.event(" ")
        if not (seen and mode == "cached"):
            time.sleep(PREFILL_S * len(prompt.split()))
        pace = TOKEN_S / 2 if mode == "quick" and timed else TOKEN_S
        answer = words_of(prompt + (str(timed) if mode == "quick" else ""), count)
        if mode == "held":
            time.sleep(pace * count)
        for i, word in enumerate(answer):
            if i > 0 and mode != "held":
                time.sleep(pace)
            self.event(word, "stop" if i == count - 1 else None)
        if count == 0:
            self.event("", "stop")
        said = count * 2 if mode == "padded" else count
        prompt_tokens = len(prompt.split())
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": said, "total_tokens": prompt_tokens + said}
        with server.lock:
            server.in_flight -= 1
        self.event("", usage=usage)
        self.wfile.write(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")


for mode in MODES:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    server.mode, server.lock, server.seen, server.taken, server.in_flight = mode, threading.Lock(), set(), 0, 0
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(mode, f"http://127.0.0.1:{server.server_port}", flush=True)
sys.stdin.read()
