// The samples of a run, page by page. The address holds the filter, the page and the sample that is open, so a link
// to one sample shows that sample wherever it lies.
import { useEffect, useRef, useState } from "preact/hooks";
import { microseconds } from "../../lib/histogram.ts";
import { useResource } from "../../lib/resource.ts";
import type { Run, Sample, Samples, Timing } from "../../lib/types.ts";
import { ErrorBox } from "../../ui/errorbox.tsx";
import { Icon } from "../../ui/icon.tsx";
import { SampleDetail } from "./sample.tsx";
import { useRunState, verdicts } from "./state.ts";
import { VerdictBadge } from "./verdict.tsx";

const pageSize = 50;
const openRefreshMs = 2000;

export const samplesPath = (runId: string, query: Record<string, string | number>): string =>
  `runs/${encodeURIComponent(runId)}/samples?${new URLSearchParams(Object.entries(query).flatMap(([k, v]) => (v === "" ? [] : [[k, String(v)]])))}`;

/** The page that begins with a sample. */
export const just = (ordinal: number): Record<string, string | number> => ({
  limit: 1,
  ...(ordinal > 0 ? { after: ordinal - 1 } : {}),
});

export function SampleBrowser({ run }: { run: Run }) {
  const [state, set] = useRunState();
  const kind: Record<string, string> = state.verdict === "failed" ? { status: "failed" } : { verdict: state.verdict };
  const query = { limit: pageSize, ...kind, search: state.search, after: state.after };
  const page = useResource<Samples>(samplesPath(run.row.run_id, query), run.row.ended_at_ms ? 0 : openRefreshMs);
  const last = useRef<Samples | undefined>(undefined);
  const trail = useRef<string[]>([]);
  const top = useRef<HTMLDivElement>(null);
  if (page.value) last.current = page.value;
  const samples = (page.value ?? last.current)?.samples;
  const wanted = state.sample === "" ? null : Number(state.sample);
  const inPage = samples?.some((s) => s.answer.ordinal === wanted) ?? false;

  const filter = (verdict: typeof state.verdict) => {
    trail.current = [];
    set({ verdict, after: "", sample: "" });
  };
  const search = (text: string, draft: boolean) => {
    trail.current = [];
    set({ search: text, after: "", sample: "" }, draft);
  };
  const turn = (after: string) => {
    set({ after, sample: "" });
    top.current!.scrollIntoView({ block: "start" });
  };
  const next = () => {
    trail.current.push(state.after);
    turn(String(page.value!.next_after));
  };
  const back = () => turn(trail.current.pop() ?? "");
  const find = (ordinal: number) => {
    trail.current = [];
    set({ verdict: "", search: "", after: ordinal > 0 ? String(ordinal - 1) : "", sample: String(ordinal) });
  };
  return (
    <>
      <div class="controls" ref={top}>
        <div class="choices" role="group" aria-label="Verdict">
          {verdicts.map((v) => (
            <button key={v} type="button" aria-pressed={state.verdict === v} onClick={() => filter(v)}>
              {v || "all"}
            </button>
          ))}
        </div>
        <Search text={state.search} onSearch={search} />
        <Finder total={run.samples_total} onFind={find} />
      </div>
      {wanted !== null && samples && !inPage && (
        <Linked run={run} ordinal={wanted} onClose={() => set({ sample: "" })} />
      )}
      {page.error && <ErrorBox error={page.error} retry={page.reload} />}
      {!samples && !page.error && <p class="soft">Loading…</p>}
      {samples && (
        <SampleList
          run={run}
          samples={samples}
          open={wanted}
          onOpen={(ordinal) => set({ sample: ordinal === null ? "" : String(ordinal) })}
        />
      )}
      {samples && (
        <nav class="pager" aria-label="Pages of samples" data-testid="pager">
          <button type="button" disabled={state.after === ""} onClick={back}>
            {trail.current.length ? "Previous page" : "First page"}
          </button>
          <button type="button" disabled={page.value?.next_after === undefined} onClick={next}>
            Next page
          </button>
          <span class="soft" role="status">
            {rangeText(samples, run, state.verdict || (state.search && "with these words"))}
          </span>
          {samples.length > 0 && (
            <a class="csv" href={"/api/v1/" + samplesPath(run.row.run_id, { ...query, format: "csv" })} download>
              <Icon name="download" />
              This page as CSV
            </a>
          )}
        </nav>
      )}
    </>
  );
}

function rangeText(samples: Sample[], run: Run, only: string): string {
  if (samples.length === 0) return only ? `No sample is ${only} here.` : "No sample has an answer here yet.";
  const first = samples[0]!.answer.ordinal,
    last = samples.at(-1)!.answer.ordinal;
  return `No. ${first.toLocaleString("en")} to ${last.toLocaleString("en")}${only ? `, ${only} only` : ""}; ${run.samples_total.toLocaleString("en")} in the run`;
}

const restMs = 300;
const searchBytesMax = 256;

function Search({ text, onSearch }: { text: string; onSearch: (text: string, draft: boolean) => void }) {
  const timer = useRef(0);
  const soon = (words: string) => {
    clearTimeout(timer.current);
    timer.current = window.setTimeout(() => onSearch(words, true), restMs);
  };
  const now = (words: string) => {
    clearTimeout(timer.current);
    onSearch(words, false);
  };
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <input
      type="search"
      class="find-text"
      aria-label="Search in prompts and answers"
      placeholder="Search in prompts and answers"
      maxLength={searchBytesMax / 4}
      defaultValue={text}
      onInput={(e) => soon(e.currentTarget.value)}
      onChange={(e) => now(e.currentTarget.value)}
    />
  );
}

function Finder({ total, onFind }: { total: number; onFind: (ordinal: number) => void }) {
  const [text, set] = useState("");
  const send = (event: Event) => {
    event.preventDefault();
    if (/^\d{1,9}$/.test(text)) onFind(Number(text));
  };
  return (
    <form class="finder" onSubmit={send}>
      <label>
        Sample no.{" "}
        <input
          name="find"
          inputMode="numeric"
          value={text}
          placeholder={`0 to ${total - 1}`}
          onInput={(e) => set(e.currentTarget.value)}
        />
      </label>
      <button type="submit">Go</button>
    </form>
  );
}

function Linked({ run, ordinal, onClose }: { run: Run; ordinal: number; onClose: () => void }) {
  const page = useResource<Samples>(
    samplesPath(run.row.run_id, just(ordinal)),
    run.row.ended_at_ms ? 0 : openRefreshMs,
  );
  const sample = page.value?.samples.find((s) => s.answer.ordinal === ordinal);
  return (
    <div class="linked" data-testid="linked">
      {page.value && !sample && (
        <p>
          No answer to sample {ordinal} in this run{run.row.ended_at_ms ? "" : " yet"}.{" "}
          <button type="button" class="small" onClick={onClose}>
            Close
          </button>
        </p>
      )}
      {sample && <SampleList run={run} samples={[sample]} open={ordinal} onOpen={onClose} />}
    </div>
  );
}

interface ListProps {
  run: Run;
  samples: Sample[];
  open: number | null;
  onOpen: (ordinal: number | null) => void;
}

function SampleList({ run, samples, open, onOpen }: ListProps) {
  if (samples.length === 0) return null;
  return (
    <div class="samples" data-testid="samples">
      <div class="sample-row head soft" aria-hidden="true">
        <span>Sample</span>
        <span>Verdict</span>
        <span>Extracted answer</span>
        <span class="number">Tokens</span>
        <span class="number">TTFT</span>
        <span class="number">TPOT</span>
        <span class="number">Total</span>
      </div>
      <ul class="plain">
        {samples.map((s) => (
          <SampleItem key={s.answer.ordinal} run={run} sample={s} open={open === s.answer.ordinal} onOpen={onOpen} />
        ))}
      </ul>
    </div>
  );
}

export const ttftOf = (t: Timing | null | undefined): number | null =>
  t?.first_token_us === undefined ? null : t.first_token_us - t.submitted_us;

export function tpotOf({ answer }: Sample): number | null {
  const { timing: t, output_tokens: tokens } = answer;
  if (!t || t.first_token_us === undefined || t.last_token_us === undefined || tokens === undefined || tokens < 2)
    return null;
  return (t.last_token_us - t.first_token_us) / (tokens - 1);
}

function SampleItem({
  run,
  sample,
  open,
  onOpen,
}: {
  run: Run;
  sample: Sample;
  open: boolean;
  onOpen: ListProps["onOpen"];
}) {
  const {
    answer,
    verdicts: [verdict],
  } = sample;
  const item = useRef<HTMLLIElement>(null);
  const id = `sample-${answer.ordinal}`;
  // A link to a sample brings it before the eyes; one opened by hand is there already.
  useEffect(() => {
    if (open) item.current!.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <li ref={item} class={"sample-item" + (open ? " open" : "")} data-testid="sample" data-ordinal={answer.ordinal}>
      <button
        type="button"
        class="sample-row"
        aria-expanded={open}
        aria-controls={id}
        onClick={() => onOpen(open ? null : answer.ordinal)}
      >
        <span class="uid">
          <Icon name="chevron" />
          {answer.uid}
        </span>
        <span>
          <VerdictBadge sample={sample} />
        </span>
        <span class="taken">
          {verdict?.extracted || <span class="soft">{answer.error || verdict?.reason || "–"}</span>}
        </span>
        <Time name="tokens" text={answer.output_tokens?.toLocaleString("en")} />
        <Time name="to the first token" text={timeText(ttftOf(answer.timing))} />
        <Time name="per token" text={timeText(tpotOf(sample))} />
        <Time
          name="in all"
          text={timeText(answer.timing ? answer.timing.ended_us - answer.timing.submitted_us : null)}
        />
      </button>
      <div id={id}>{open && <SampleDetail run={run} sample={sample} />}</div>
    </li>
  );
}

const timeText = (us: number | null): string | undefined => (us === null ? undefined : microseconds(us));

function Time({ name, text }: { name: string; text: string | undefined }) {
  return (
    <span class={"number " + (text ? "" : "soft")}>
      {text ?? "–"}
      <span class="away-from-eyes"> {name}</span>
    </span>
  );
}
