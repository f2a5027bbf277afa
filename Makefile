# Forwards the verbs of ./run, so that `make test` works; the work is there.
VERBS = demo test test-peers test-docker build check sanitize fmt bench fuzz install-deps

.PHONY: help $(VERBS)
help:
	@./run help
$(VERBS):
	@./run $@ $(ARGS)
