// The address is the whole state: a path names the view, the query holds the view's state (urlstate.ts). Nothing is
// remembered elsewhere, so reloading, sharing and going back show the same picture.
import { computed, signal } from "@preact/signals";
import { readState, type Schema, type StateOf, writeState } from "./urlstate.ts";

export const address = signal(here());
export const path = computed(() => address.value.split("?")[0]!);
export const query = computed(() => new URLSearchParams(address.value.slice(path.value.length)));

// While someone types or drags, the address follows without a new entry in the history. This is where "back" leads
// once the change is final.
let committed: string | null = null;

function here(): string {
  return location.pathname + location.search;
}

function write(to: string, draft: boolean): void {
  if (draft) {
    committed ??= here();
    history.replaceState(null, "", to);
  } else {
    if (committed !== null) history.replaceState(null, "", committed);
    if (to !== (committed ?? here())) history.pushState(null, "", to);
    committed = null;
  }
  address.value = to;
}

export function go(to: string): void {
  const view = to.split("?")[0];
  const moved = view !== path.value;
  write(to, false);
  if (moved) window.scrollTo(0, 0);
}

/** Another address for what is shown, without an entry in the history: a form that is being filled in. */
export function amend(to: string): void {
  committed = null;
  history.replaceState(null, "", to);
  address.value = to;
}

/** The state in the address and how to change it; a draft is a change that is not final yet. */
export function useUrlState<S extends Schema>(schema: S) {
  const state = readState(schema, query.value);
  const set = (changes: Partial<StateOf<S>>, draft = false) => {
    const text = writeState(schema, { ...readState(schema, query.peek()), ...changes });
    write(path.peek() + (text ? "?" + text : ""), draft);
  };
  return [state, set] as const;
}

/** Follows links within the page without loading it again; to be called once. */
export function startRouter(): void {
  forwardOldAddress();
  window.addEventListener("popstate", () => {
    committed = null;
    address.value = here();
  });
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a") : null;
    if (
      !link ||
      event.defaultPrevented ||
      event.button !== 0 ||
      event.metaKey ||
      event.ctrlKey ||
      event.shiftKey ||
      event.altKey
    )
      return;
    if (link.target || link.hasAttribute("download") || link.origin !== location.origin || !isView(link.pathname))
      return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}

const folders = ["/runs/", "/evaluations/", "/tasks/", "/models/"];

function isView(path: string): boolean {
  return (
    ["/", "/submit", "/queue", "/nodes", "/estimate"].includes(path) ||
    folders.some((folder) => path.startsWith(folder))
  );
}

// Links made before views had paths: "/#run?id=...", "/#queue".
function forwardOldAddress(): void {
  const [name, text] = location.hash.slice(1).split("?");
  const id = new URLSearchParams(text).get("id");
  if (name === "run" && id) history.replaceState(null, "", "/runs/" + encodeURIComponent(id));
  else if (name && isView("/" + name)) history.replaceState(null, "", "/" + name);
  else return;
  address.value = here();
}
