// Progress of an evaluation or run as server-sent events, until it ends. The browser connects again by itself when
// the server was away; a refusal ends it with the server's sentence.
import { useEffect, useState } from "preact/hooks";
import type { ApiError } from "./api.ts";
import { lost } from "./server.ts";
import type { Progress } from "./types.ts";

export interface Live { progress: Progress | undefined; error: string | undefined; ended: boolean }

export function useWatch(id: string | null): Live {
  const [live, set] = useState<Live>({ progress: undefined, error: undefined, ended: false });

  useEffect(() => {
    if (!id) return;
    const source = new EventSource("/api/v1/watch/" + encodeURIComponent(id));
    const take = (event: MessageEvent<string>, ended: boolean) => {
      set({ progress: JSON.parse(event.data) as Progress, error: undefined, ended });
      if (ended) source.close();
    };
    set({ progress: undefined, error: undefined, ended: false });
    source.onmessage = (event) => take(event, false);
    source.addEventListener("end", (event) => take(event as MessageEvent<string>, true));
    source.addEventListener("error", (event) => {
      const data = (event as MessageEvent<string>).data; // absent: the connection broke, not the run
      const problem = data === undefined ? undefined : (JSON.parse(data) as ApiError);
      if (!problem) lost();
      if (!problem || problem.code === "unavailable") return;
      set((old) => ({ ...old, error: problem.message, ended: true }));
      source.close();
    });
    return () => source.close();
  }, [id]);
  return live;
}
