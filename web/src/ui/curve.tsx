// A curve of a run: what was measured as points on a line, what to compare it with dashed beside it, and the same as
// a table. Tokens lie on a logarithmic axis, layers on a plain one.
import "../style/curve.css";
import { useRef, useState } from "preact/hooks";
import { niceTop } from "../lib/curve.ts";
import { logPlace, logTicks } from "../lib/histogram.ts";
import { short } from "../lib/format.ts";
import type { Curve } from "../lib/types.ts";
import { useWidth } from "../lib/width.ts";

export interface CurveNames {
  title: string;
  about: string;
  x: string;
  y: string;
  reference?: string;
  logarithmic: boolean;
}

const height = 220;
const margin = { left: 44, right: 16, top: 12, bottom: 38 };
const tickWidth = 44;
const rows = 4;

export function CurveChart({ curve, names }: { curve: Curve; names: CurveNames }) {
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame);
  return (
    <figure class="histogram" data-testid={"curve-" + curve.id}>
      <figcaption>
        <b>{names.title}</b> <span class="soft">{names.about}</span>
        {names.reference && curve.reference.length > 0 && (
          <span class="legend">
            <i class="measured" aria-hidden="true" /> measured <i class="predicted" aria-hidden="true" />{" "}
            {names.reference}
          </span>
        )}
      </figcaption>
      <div ref={frame} class="chart" style={{ height: `${height}px` }}>
        {width > 0 && <Chart curve={curve} names={names} width={width} />}
      </div>
      <PointTable curve={curve} names={names} />
    </figure>
  );
}

function Chart({ curve, names, width }: { curve: Curve; names: CurveNames; width: number }) {
  const inner = { width: width - margin.left - margin.right, height: height - margin.top - margin.bottom };
  const min = curve.x[0]!,
    max = curve.x.at(-1)!;
  const top = niceTop(Math.max(...curve.y, ...curve.reference));
  const share = (v: number) =>
    max > min ? (names.logarithmic ? logPlace(v, min, max) : (v - min) / (max - min)) : 0.5;
  const x = (v: number) => margin.left + share(v) * inner.width;
  const y = (v: number) => margin.top + inner.height * (1 - v / top);
  const base = margin.top + inner.height;
  const line = (values: number[]) => values.map((v, i) => `${i ? "L" : "M"}${x(curve.x[i]!)} ${y(v)}`).join("");
  const label = `${names.title}: ${curve.x.length} points, from ${short(curve.y[0]!)} at ${short(min)} ${names.x} to ${short(curve.y.at(-1)!)} at ${short(max)} ${names.x}`;
  return (
    <svg width={width} height={height} role="img" aria-label={label}>
      {Array.from({ length: rows + 1 }, (_, i) => (top * i) / rows).map((v) => (
        <g key={v} class="tick">
          <line class="grid" x1={margin.left} x2={width - margin.right} y1={y(v)} y2={y(v)} />
          <text x={margin.left - 6} y={y(v) + 4} text-anchor="end">
            {short(v)}
          </text>
        </g>
      ))}
      {ticksOf(curve, names, Math.floor(inner.width / tickWidth)).map((t) => (
        <g key={t} class="tick">
          <line x1={x(t)} x2={x(t)} y1={base} y2={base + 4} />
          <text x={x(t)} y={base + 16} text-anchor="middle">
            {t.toLocaleString("en")}
          </text>
        </g>
      ))}
      <text x={margin.left + inner.width / 2} y={height - 4} text-anchor="middle">
        {names.x}
      </text>
      {curve.reference.length > 0 && <path class="predicted" d={line(curve.reference)} />}
      <path class="measured" d={line(curve.y)} />
      {curve.y.map((v, i) => (
        <circle key={i} class="measured" cx={x(curve.x[i]!)} cy={y(v)} r={2.5} />
      ))}
    </svg>
  );
}

function ticksOf(curve: Curve, names: CurveNames, most: number): number[] {
  const min = curve.x[0]!,
    max = curve.x.at(-1)!;
  if (max === min) return [min];
  if (names.logarithmic) return logTicks(min, max, most);
  const step = Math.ceil(curve.x.length / Math.max(1, most));
  return curve.x.filter((_, i) => i % step === 0);
}

function PointTable({ curve, names }: { curve: Curve; names: CurveNames }) {
  const [open, set] = useState(false);
  const compared = curve.reference.length > 0;
  return (
    <details class="as-table" onToggle={(event) => set(event.currentTarget.open)}>
      <summary>As a table</summary>
      {open && (
        <div class="scroll" tabIndex={0} role="region" aria-label={names.title}>
          <table class="dense">
            <thead>
              <tr>
                <th scope="col" class="number">
                  {names.x}
                </th>
                <th scope="col" class="number">
                  {names.y}
                </th>
                {compared && (
                  <th scope="col" class="number">
                    {names.reference}
                  </th>
                )}
              </tr>
            </thead>
            <tbody>
              {curve.x.map((x, i) => (
                <tr key={i}>
                  <td class="number">{short(x)}</td>
                  <td class="number">{short(curve.y[i]!)}</td>
                  {compared && <td class="number">{short(curve.reference[i]!)}</td>}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
    </details>
  );
}
