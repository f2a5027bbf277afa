// A distribution over a logarithmic axis, with marks at its percentiles, and the same as a table.
import { useRef, useState } from "preact/hooks";
import { type Bucket, bucketsOf, logPlace, logTicks, microseconds } from "../lib/histogram.ts";
import { plural } from "../lib/format.ts";
import type { Histogram } from "../lib/types.ts";
import { useWidth } from "../lib/width.ts";

export interface Mark {
  name: string;
  at: number;
}

type Say = (value: number) => string;

const height = 170;
const margin = { left: 14, right: 22, top: 20, bottom: 26 };
const tickWidth = 62;
const markWidth = 30;

export function HistogramChart({
  histogram,
  title,
  marks,
  say = microseconds,
}: {
  histogram: Histogram;
  title: string;
  marks: Mark[];
  say?: Say;
}) {
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame);
  const buckets = bucketsOf(histogram);
  const total = buckets.reduce((sum, b) => sum + b.count, 0);
  const label = `${title}: ${plural(total, "value")}${buckets.length ? ` from ${say(buckets[0]!.from)} to ${say(buckets.at(-1)!.to)}` : ""}. ${marks.map((m) => `${m.name} ${say(m.at)}`).join(", ")}`;
  return (
    <figure class="histogram" data-testid="histogram">
      <figcaption>
        <b>{title}</b>{" "}
        <span class="soft">
          {plural(total, "value")}
          {marks.map((m) => ` · ${unbroken(`${m.name} ${say(m.at)}`)}`).join("")}
        </span>
      </figcaption>
      <div ref={frame} class="chart" style={{ height: `${height}px` }}>
        {width > 0 && buckets.length > 0 && (
          <Chart buckets={buckets} width={width} marks={marks} label={label} say={say} />
        )}
      </div>
      <BucketTable buckets={buckets} total={total} say={say} />
    </figure>
  );
}

function Chart({
  buckets,
  width,
  marks,
  label,
  say,
}: {
  buckets: Bucket[];
  width: number;
  marks: Mark[];
  label: string;
  say: Say;
}) {
  const min = buckets[0]!.from,
    max = buckets.at(-1)!.to;
  const top = Math.max(...buckets.map((b) => b.count));
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const x = (us: number) => margin.left + logPlace(us, min, max) * inner.width;
  const y = (count: number) => margin.top + inner.height * (1 - count / top);
  const base = margin.top + inner.height;
  return (
    <svg width={width} height={height} role="img" aria-label={label}>
      <line class="axis" x1={margin.left} x2={width - margin.right} y1={base} y2={base} />
      {buckets.map(
        (b) =>
          b.count > 0 && (
            <rect
              key={b.from}
              class="bar"
              x={x(b.from) + 0.5}
              width={Math.max(1, x(b.to) - x(b.from) - 1)}
              y={y(b.count)}
              height={base - y(b.count)}
            />
          ),
      )}
      {apart(logTicks(min, max, Math.floor(inner.width / tickWidth)), x).map((t) => (
        <g key={t} class="tick">
          <line x1={x(t)} x2={x(t)} y1={base} y2={base + 4} />
          <text x={x(t)} y={height - 6} text-anchor="middle">
            {say(t)}
          </text>
        </g>
      ))}
      {marks
        .filter((m) => m.at >= min && m.at <= max)
        .map((m, i, all) => (
          <g key={m.name} class="mark">
            <line x1={x(m.at)} x2={x(m.at)} y1={margin.top - 4} y2={base} />
            <text
              x={x(m.at)}
              y={margin.top - 8}
              text-anchor={anchorOf(
                all.map((one) => x(one.at)),
                i,
              )}
            >
              {m.name}
            </text>
          </g>
        ))}
    </svg>
  );
}

const unbroken = (text: string): string => text.replaceAll(" ", "\u00a0");

/** Those whose labels do not lie on each other. */
function apart(ticks: readonly number[], x: (us: number) => number): number[] {
  let last = -Infinity;
  return ticks.filter((t) => x(t) - last >= tickWidth && ((last = x(t)), true));
}

// Names of marks that lie close together lean away from each other.
function anchorOf(places: number[], i: number): "start" | "middle" | "end" {
  const near = (j: number) => places[j] !== undefined && Math.abs(places[j] - places[i]!) < markWidth;
  return near(i - 1) ? "start" : near(i + 1) ? "end" : "middle";
}

function BucketTable({ buckets, total, say }: { buckets: Bucket[]; total: number; say: Say }) {
  const [open, set] = useState(false);
  return (
    <details class="as-table" onToggle={(event) => set(event.currentTarget.open)}>
      <summary>As a table</summary>
      {open && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Values by bucket">
          <table class="dense">
            <thead>
              <tr>
                <th scope="col" class="number">
                  From
                </th>
                <th scope="col" class="number">
                  To
                </th>
                <th scope="col" class="number">
                  Values
                </th>
                <th scope="col" class="number">
                  Share
                </th>
              </tr>
            </thead>
            <tbody>
              {buckets
                .filter((b) => b.count > 0)
                .map((b) => (
                  <tr key={b.from}>
                    <td class="number">{say(b.from)}</td>
                    <td class="number">{say(b.to)}</td>
                    <td class="number">{b.count.toLocaleString("en")}</td>
                    <td class="number">{((100 * b.count) / total).toFixed(1)} %</td>
                  </tr>
                ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
