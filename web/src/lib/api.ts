// The client of /api/v1. Errors are values: what went wrong, in the server's words, and the field to blame.
import { lost } from "./server.ts";

export interface ApiError {
  code: string;
  message: string;
  status: number;
  field?: string;
  fields?: { field: string; message: string }[]; // the first to blame, and all of them
}

export type Result<T> = { ok: true; value: T } | { ok: false; error: ApiError };

const timeoutMs = 30_000;
const keptBytesMax = 8 * 1024 * 1024; // of replies as they were sent; as objects they are several times larger

// Replies by address with their ETag. An unchanged reply is the same object again, so nothing is drawn again.
const kept = new Map<string, { etag: string; value: unknown; bytes: number }>();

// Requests that were started before a view needs them; the first view that asks gets the answer.
const ahead = new Map<string, Promise<Result<any>>>();

/** Starts a request that `get` will be called for in a moment. */
export function askAhead(path: string): void {
  ahead.set(path, fresh(path));
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<Result<T>> {
  const started = ahead.get(path);
  ahead.delete(path);
  return started ?? fresh<T>(path, signal);
}

async function fresh<T>(path: string, signal?: AbortSignal): Promise<Result<T>> {
  const known = kept.get(path);
  const answer = await ask(path, { headers: known ? { "If-None-Match": known.etag } : {}, signal: limit(signal) });
  if (!answer.ok) return answer;
  if (answer.value.status === 304 && known) return { ok: true, value: known.value as T };
  const result = await read<T>(answer.value);
  const etag = answer.value.headers.get("ETag");
  if (result.ok && etag) keep(path, { etag, value: result.value, bytes: lengthOf(answer.value) });
  return result;
}

export async function post<T>(path: string, body: unknown, signal?: AbortSignal): Promise<Result<T>> {
  const answer = await ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
    signal: limit(signal),
  });
  return answer.ok ? read<T>(answer.value) : answer;
}

/** Whether this error only says that nobody answered, neither the gateway nor a service that it asked: the banner says so already. */
export function isAway(error: ApiError): boolean {
  return error.status === 0 || error.code === "unavailable";
}

/** What an address answered last; it may be old. */
export function lastAnswer<T>(path: string): T | undefined {
  return kept.get(path)?.value as T | undefined;
}

function limit(signal: AbortSignal | undefined): AbortSignal {
  const timeout = AbortSignal.timeout(timeoutMs);
  return signal ? AbortSignal.any([signal, timeout]) : timeout;
}

// Of the text: what travelled packed is about a tenth of it.
function lengthOf(response: Response): number {
  const bytes = Number(response.headers.get("Content-Length")) || 64 * 1024; // a streamed one does not say
  return response.headers.get("Content-Encoding") === "gzip" ? bytes * 10 : bytes;
}

// The latest answer of an address is kept; of the others the oldest go first.
function keep(path: string, answer: { etag: string; value: unknown; bytes: number }): void {
  kept.delete(path);
  kept.set(path, answer);
  let bytes = 0;
  for (const known of kept.values()) bytes += known.bytes;
  for (const [oldest, known] of kept) {
    if (bytes <= keptBytesMax || oldest === path) break;
    kept.delete(oldest);
    bytes -= known.bytes;
  }
}

async function ask(path: string, options: RequestInit): Promise<Result<Response>> {
  try {
    return { ok: true, value: await fetch("/api/v1/" + path, options) };
  } catch (problem) {
    const name = problem instanceof Error ? problem.name : "";
    if (name === "AbortError") return failure("cancelled", "the request was cancelled", 0);
    lost();
    if (name === "TimeoutError") return failure("deadline_exceeded", `no answer within ${timeoutMs / 1000} s`, 0);
    return failure("unavailable", "the server could not be reached", 0);
  }
}

function failure(code: string, message: string, status: number): { ok: false; error: ApiError } {
  return { ok: false, error: { code, message, status } };
}

async function read<T>(response: Response): Promise<Result<T>> {
  let json: any;
  try {
    json = await response.json();
  } catch {
    return failure("internal", `the server's answer (${response.status}) is not JSON`, response.status);
  }
  if (response.ok) return { ok: true, value: json as T };
  const error: ApiError = { code: "unknown", message: response.statusText, ...json?.error, status: response.status };
  if (error.code === "unavailable") lost();
  return { ok: false, error };
}
