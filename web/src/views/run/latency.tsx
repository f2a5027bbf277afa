// How times were spread: one histogram a kind, with the percentiles that are figures of the run.
import { figureOf, reasonOf, valueOf } from "../../lib/figures.ts";
import { plural } from "../../lib/format.ts";
import type { Run } from "../../lib/types.ts";
import { HistogramChart, type Mark } from "../../ui/histogram.tsx";

const kinds = [
  { id: "ttft", title: "Time to first token (TTFT)", about: "From the request to its first token" },
  { id: "tpot", title: "Time per output token (TPOT)", about: "Mean over the tokens of a request after the first" },
  { id: "itl", title: "Gap between tokens", about: "Every gap of every request" },
  { id: "e2e", title: "End to end", about: "From the request to its end" },
];

export function Latency({ run }: { run: Run }) {
  const boundary = run.row.report?.timing_boundary;
  const warmUp = valueOf(figureOf(run.row, "warm_up_requests"));
  return (
    <>
      <p class="soft">
        {boundary === "engine"
          ? "Timed inside the engine."
          : boundary === "http"
            ? "Timed over HTTP: network and server queue are included."
            : "It is not known where times were taken."}{" "}
        {warmUp !== null && warmUp > 0 && `Without the first ${plural(warmUp, "request")}, the warm-up. `}
        Log axis; each bar spans 10 %.
      </p>
      <div class="histograms">
        {kinds.map((k) => (
          <Kind key={k.id} run={run} {...k} />
        ))}
      </div>
    </>
  );
}

function Kind({ run, id, title, about }: { run: Run; id: string; title: string; about: string }) {
  const histogram = run.histograms.find((h) => h.id === `${id}_us`);
  if (histogram?.counts.some((n) => n > 0))
    return (
      <div class="card">
        <HistogramChart histogram={histogram} title={title} marks={marksOf(run, id)} />
        <p class="soft about">{about}</p>
      </div>
    );
  const mean = figureOf(run.row, `${id}_ms_mean`);
  return (
    <div class="card">
      <figure class="histogram">
        <figcaption>
          <b>{title}</b>
        </figcaption>
        <p class="soft unknown">
          – {mean ? reasonOf(mean) : run.row.ended_at_ms ? "not measured" : "available when the run ends"}
        </p>
      </figure>
    </div>
  );
}

function marksOf(run: Run, id: string): Mark[] {
  return ["p50", "p90", "p99"].flatMap((name) => {
    const ms = valueOf(figureOf(run.row, `${id}_ms_${name}`));
    return ms === null ? [] : [{ name, at: ms * 1000 }];
  });
}
