// Data of one address of the API for a component: asked for at once, again when the address changes, when the server
// has come back, and every `everyMs` while the page is seen. What was shown stays until something newer came.
import { useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, get, isAway } from "./api.ts";
import { epoch } from "./server.ts";

export interface Resource<T> { value: T | undefined; error: ApiError | undefined; loading: boolean; reload: () => void }

export function useResource<T>(path: string | null, everyMs = 0): Resource<T> {
  const [state, set] = useState<{ path: string | null; value?: T; error?: ApiError; loading: boolean }>({ path, loading: true });
  const again = useRef(() => {});
  const seen = epoch.value;

  useEffect(() => {
    if (path === null) return;
    const stop = new AbortController();
    let timer = 0;
    const load = async () => {
      clearTimeout(timer);
      const reply = await get<T>(path, stop.signal);
      if (stop.signal.aborted) return;
      // A server that is away takes nothing from the screen; the banner says it.
      if (reply.ok) set({ path, value: reply.value, loading: false });
      else set((old) => ({ path, value: old.path === path ? old.value : undefined, error: isAway(reply.error) ? undefined : reply.error, loading: isAway(reply.error) }));
      if (everyMs > 0) timer = window.setTimeout(whenSeen, everyMs);
    };
    const whenSeen = () => { if (document.hidden) document.addEventListener("visibilitychange", load, { once: true }); else void load(); };
    again.current = () => void load();
    set((old) => (old.path === path ? old : { path, loading: true }));
    void load();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", load);
    };
  }, [path, everyMs, seen]);

  const own = state.path === path ? state : { loading: true };
  return { value: (own as typeof state).value, error: (own as typeof state).error, loading: own.loading, reload: () => again.current() };
}
