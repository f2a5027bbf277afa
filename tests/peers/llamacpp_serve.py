#!/usr/bin/env python3
"""llama.cpp's own HTTP server, as the library in the wheel xllamacpp, until SIGTERM.

  llamacpp_serve.py MODEL.gguf PORT NAME SLOTS CONTEXT     (of each slot)
"""
import signal
import sys

import xllamacpp

path, port, name, slots, context = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]), int(sys.argv[5])
options = xllamacpp.CommonParams()
options.model.path, options.port, options.hostnames = path, port, ["127.0.0.1"]
options.model_alias = {name} if isinstance(options.model_alias, set) else [name]
options.n_parallel, options.n_ctx = slots, slots * context  # the context is divided among the slots
options.cpuparams.n_threads = options.cpuparams_batch.n_threads = 2
options.endpoint_metrics = options.endpoint_slots = options.endpoint_props = True
options.ui = False

ends = {signal.SIGTERM, signal.SIGINT}
signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before the server's threads, which inherit it
server = xllamacpp.Server(options)
print("listening on", server.listening_address, flush=True)
signal.sigwait(ends)
