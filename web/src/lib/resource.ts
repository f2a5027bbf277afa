// Data of one address of the API for a component: asked for at once, again when the address changes, when the server
// has come back, and every `everyMs` while the page is seen. What an address answered before is shown until something
// newer came, so that going back shows the picture at once.
import { useEffect, useRef, useState } from "preact/hooks";
import { type ApiError, get, isAway, lastAnswer } from "./api.ts";
import { epoch } from "./server.ts";

export interface Resource<T> {
  value: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
  reload: () => void;
}

interface State<T> {
  path: string | null;
  value: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
}

function before<T>(path: string | null): State<T> {
  return { path, value: path === null ? undefined : lastAnswer<T>(path), error: undefined, loading: path !== null };
}

export function useResource<T>(path: string | null, everyMs = 0): Resource<T> {
  const [state, set] = useState<State<T>>(() => before(path));
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
      if (reply.ok) set({ path, value: reply.value, error: undefined, loading: false });
      else set((old) => failed(old.path === path ? old : before<T>(path), reply.error));
      if (everyMs > 0) timer = window.setTimeout(whenSeen, everyMs);
    };
    const whenSeen = () => {
      if (document.hidden) document.addEventListener("visibilitychange", load, { once: true });
      else void load();
    };
    again.current = () => void load();
    void load();
    return () => {
      stop.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", load);
    };
  }, [path, everyMs, seen]);

  const { value, error, loading } = state.path === path ? state : before<T>(path);
  return { value, error, loading, reload: () => again.current() };
}

// A server that is away takes nothing from the screen; the banner says it.
function failed<T>(old: State<T>, error: ApiError): State<T> {
  return isAway(error) ? { ...old, error: undefined, loading: true } : { ...old, error, loading: false };
}
