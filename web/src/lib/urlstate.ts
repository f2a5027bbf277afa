// A view's state as the query of its address. A schema names the keys; only what differs from its default is
// written, in the schema's order, so that one state has one address. What a key cannot read is its default: an old or
// mistyped link shows the view, not an error.
export interface Key<T> {
  fallback: T;
  parse(text: string): T | undefined;
  format(value: T): string;
}

export type Schema = Record<string, Key<any>>;
export type StateOf<S extends Schema> = { [K in keyof S]: S[K] extends Key<infer T> ? T : never };

export const text = (fallback = ""): Key<string> => ({ fallback, parse: (t) => t, format: (v) => v });

export const flag = (): Key<boolean> => ({ fallback: false, parse: (t) => t === "1", format: (v) => (v ? "1" : "0") });

export const choice = <T extends string>(options: readonly T[], fallback: T): Key<T> => ({
  fallback,
  parse: (t) => options.find((o) => o === t),
  format: (v) => v,
});

export const number = (fallback: number, min: number, max: number): Key<number> => ({
  fallback,
  parse: (t) => {
    const n = t === "" ? NaN : Number(t);
    return n >= min && n <= max ? n : undefined;
  },
  format: String,
});

/** Words by comma; a comma within a word is escaped. Where the default is not empty, empty is a state, too. */
export const list = (fallback: readonly string[] = []): Key<readonly string[]> => ({
  fallback,
  parse: (t) => (t === "" ? [] : t.split(/(?<!\\),/).map((w) => w.replace(/\\([\\,])/g, "$1"))),
  format: (v) => v.map((w) => w.replace(/[\\,]/g, "\\$&")).join(","),
});

export function readState<S extends Schema>(schema: S, query: URLSearchParams): StateOf<S> {
  const entries = Object.entries(schema).map(([name, key]) => {
    const text = query.get(name);
    return [name, (text === null ? undefined : key.parse(text)) ?? key.fallback];
  });
  return Object.fromEntries(entries) as StateOf<S>;
}

export function writeState<S extends Schema>(schema: S, state: StateOf<S>): string {
  const query = new URLSearchParams();
  for (const [name, key] of Object.entries(schema)) {
    const text = key.format(state[name]);
    if (text !== key.format(key.fallback)) query.append(name, text);
  }
  // Readable where that is safe: these never need escaping in a query.
  return query.toString().replace(/%2C/g, ",").replace(/%3A/g, ":").replace(/%3B/g, ";").replace(/%2F/g, "/");
}
