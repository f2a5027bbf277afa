// Live state, as server-sent events: progress of an evaluation or run until it ends, and the queue. The browser
// connects again by itself when the connection breaks; we do when it was refused, and at once when the server is back.
import { useEffect, useState } from "preact/hooks";
import type { ApiError } from "./api.ts";
import { epoch, lost } from "./server.ts";
import type { Progress, Queue } from "./types.ts";

const againMs = 3000;

interface Handlers {
  onData(text: string, name: "message" | "end"): void;
  onProblem(problem: ApiError): "stop" | "again";
}

/** Follows a stream until `onProblem` or its end says stop; the result closes it. A page that nobody sees holds no
 *  connection: browsers have six for all their tabs, and the first event on return tells everything. */
function follow(path: string, handlers: Handlers): () => void {
  let timer = 0;
  let source: EventSource | undefined;
  const close = () => {
    clearTimeout(timer);
    source?.close();
    source = undefined;
  };
  const onSight = () => {
    if (document.hidden) close();
    else if (!source) open();
  };
  const stop = () => {
    close();
    document.removeEventListener("visibilitychange", onSight);
  };
  const open = () => {
    close();
    source = new EventSource("/api/v1/" + path);
    source.onmessage = (event) => handlers.onData(event.data, "message");
    source.addEventListener("end", (event) => {
      stop();
      handlers.onData((event as MessageEvent<string>).data, "end");
    });
    source.addEventListener("error", (event) => {
      const data = (event as MessageEvent<string>).data; // absent: the connection broke, not what it tells of
      if (data === undefined) lost();
      else if (handlers.onProblem(JSON.parse(data) as ApiError) === "stop") stop();
      if (data === undefined && source?.readyState === EventSource.CLOSED) timer = window.setTimeout(open, againMs);
    });
  };
  document.addEventListener("visibilitychange", onSight);
  onSight();
  return stop;
}

export interface Live {
  progress: Progress | undefined;
  error: ApiError | undefined;
  ended: boolean;
}

export function useWatch(id: string): Live {
  const [live, set] = useState<Live>({ progress: undefined, error: undefined, ended: false });
  const seen = epoch.value;

  useEffect(() => {
    if (live.ended) return;
    return follow("watch/" + encodeURIComponent(id), {
      onData: (text, name) => set({ progress: JSON.parse(text) as Progress, error: undefined, ended: name === "end" }),
      onProblem: (problem) => {
        if (problem.code === "unavailable") return "again"; // a program that restarts; what was shown stays
        set((old) => ({ ...old, error: { ...problem, status: 0 }, ended: true }));
        return "stop";
      },
    });
  }, [id, seen]);
  return live;
}

export function useQueue(): { queue: Queue | undefined; error: string | undefined } {
  const [state, set] = useState<{ queue: Queue | undefined; error: string | undefined }>({
    queue: undefined,
    error: undefined,
  });
  const seen = epoch.value;

  useEffect(
    () =>
      follow("queue/watch", {
        onData: (text) => set({ queue: JSON.parse(text) as Queue, error: undefined }),
        onProblem: (problem) => {
          set((old) => ({ ...old, error: problem.message }));
          return "again";
        },
      }),
    [seen],
  );
  return state;
}
