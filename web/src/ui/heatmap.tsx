// Layers by experts, drawn on a canvas: the darker or brighter, the more often an expert was chosen than an even
// spread would have it. The pointer or the arrow keys read one cell; a table below holds every number.
import { useEffect, useRef, useState } from "preact/hooks";
import { busiest, type HeatRow, orderOf, ratioOf, unused } from "../lib/heat.ts";
import { plural, short } from "../lib/format.ts";
import { theme } from "../lib/theme.ts";
import { useWidth } from "../lib/width.ts";

interface Props {
  rows: HeatRow[];
  order: "number" | "load";
  label: string;
}
interface Cell {
  row: number;
  column: number;
}

const labelWidth = 34;
const cellHeightMax = 22;
const heightMax = 620;
const tableCellsMax = 20_000; // more would make the browser slow; the JSON has them

export function HeatMap({ rows, order, label }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const width = useWidth(frame);
  const [cell, setCell] = useState<Cell | null>(null);
  const experts = Math.max(...rows.map((r) => r.counts.length));
  const cellHeight = Math.max(4, Math.min(cellHeightMax, Math.floor(heightMax / rows.length)));
  const top = Math.max(2, ...rows.map((r) => busiest(r).ratio));
  const orders = rows.map((r) => orderOf(r, order));
  const scheme = useSchemeChanges();

  useEffect(() => {
    if (width > 0) draw(canvas.current!, { rows, orders, experts, width, cellHeight, top, cell });
  }, [rows, order, width, cell, scheme]);

  const at = (event: PointerEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left - labelWidth) / (box.width - labelWidth)) * experts);
    const row = Math.floor((event.clientY - box.top) / cellHeight);
    setCell(rows[row] && column >= 0 && column < experts ? { row, column } : null);
  };
  const onKey = (event: KeyboardEvent) => {
    const step = (
      { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] } as Record<
        string,
        [number, number]
      >
    )[event.key];
    if (!step) return;
    event.preventDefault();
    const from = cell ?? { row: 0, column: 0 };
    setCell(
      cell ? { row: clamp(from.row + step[0], rows.length), column: clamp(from.column + step[1], experts) } : from,
    );
  };
  return (
    <figure class="heat" data-testid="heat">
      <div ref={frame} class="heat-frame">
        <canvas
          ref={canvas}
          role="img"
          aria-label={`${label}. ${summary(rows)} The table below holds every number; arrow keys read cells.`}
          tabIndex={0}
          style={{ height: `${cellHeight * rows.length}px` }}
          onPointerMove={at}
          onPointerLeave={() => setCell(null)}
          onKeyDown={onKey}
          onBlur={() => setCell(null)}
        />
      </div>
      <figcaption>
        <span class="scale" aria-hidden="true">
          0<i />
          {short(top)} × an even split
        </span>
        <span role="status" class="readout">
          {cell ? readout(rows, orders, cell) : <span class="soft">{summary(rows)}</span>}
        </span>
      </figcaption>
      <HeatTable rows={rows} experts={experts} />
    </figure>
  );
}

const clamp = (n: number, count: number): number => Math.min(count - 1, Math.max(0, n));

function summary(rows: HeatRow[]): string {
  const all = rows.reduce((sum, r) => sum + r.sum, 0);
  const tops = rows.map((r) => ({ layer: r.layer, ...busiest(r) }));
  const most = tops.reduce((a, b) => (b.ratio > a.ratio ? b : a));
  const idle = rows.reduce((sum, r) => sum + unused(r), 0);
  return `${plural(all, "selection")} in ${plural(rows.length, "layer")}; busiest: expert ${most.expert} of layer ${most.layer}, ${short(most.ratio)} times an even split; ${idle === 0 ? "every expert was chosen" : `${plural(idle, "expert was", "experts were")} never chosen`}.`;
}

function readout(rows: HeatRow[], orders: number[][], { row, column }: Cell): string {
  const line = rows[row],
    expert = orders[row]?.[column];
  if (!line || expert === undefined) return "";
  return `Layer ${line.layer}, expert ${expert}: ${plural(line.counts[expert]!, "selection")}, ${short(ratioOf(line, expert))} times an even split`;
}

/** Grows when the colours change. */
function useSchemeChanges(): string {
  const [system, set] = useState(0);
  useEffect(() => {
    const queries = ["(prefers-color-scheme: dark)", "(prefers-contrast: more)"].map((q) => matchMedia(q));
    const note = () => set((n) => n + 1);
    for (const q of queries) q.addEventListener("change", note);
    return () => {
      for (const q of queries) q.removeEventListener("change", note);
    };
  }, []);
  return theme.value + system;
}

interface Drawing {
  rows: HeatRow[];
  orders: number[][];
  experts: number;
  width: number;
  cellHeight: number;
  top: number;
  cell: Cell | null;
}

function draw(canvas: HTMLCanvasElement, d: Drawing): void {
  const scale = window.devicePixelRatio || 1;
  const height = d.cellHeight * d.rows.length;
  canvas.width = Math.round(d.width * scale);
  canvas.height = Math.round(height * scale);
  const g = canvas.getContext("2d")!;
  const style = getComputedStyle(canvas);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const cellWidth = (d.width - labelWidth) / d.experts;
  // Whole pixels: an edge between two would show as a stripe.
  const edge = (x: number) => Math.round((labelWidth + x * cellWidth) * scale) / scale;
  const gap = cellWidth > 6 && d.cellHeight > 6 ? 1 : 0;
  g.scale(scale, scale);
  drawLabels(g, d, colour("--soft"), style.fontFamily);
  d.rows.forEach((row, y) =>
    d.orders[y]!.forEach((expert, x) => {
      const left = edge(x),
        box = [left, y * d.cellHeight, edge(x + 1) - left - gap, d.cellHeight - gap] as const;
      g.globalAlpha = 1;
      g.fillStyle = colour("--track");
      g.fillRect(...box);
      g.globalAlpha = Math.min(1, ratioOf(row, expert) / d.top);
      g.fillStyle = colour("--accent");
      g.fillRect(...box);
    }),
  );
  g.globalAlpha = 1;
  if (d.cell) {
    g.strokeStyle = colour("--text");
    g.lineWidth = 2;
    g.strokeRect(
      labelWidth + d.cell.column * cellWidth + 1,
      d.cell.row * d.cellHeight + 1,
      Math.max(2, cellWidth - gap - 2),
      Math.max(2, d.cellHeight - gap - 2),
    );
  }
}

function drawLabels(g: CanvasRenderingContext2D, d: Drawing, colour: string, family: string): void {
  const every = Math.ceil(13 / d.cellHeight);
  g.fillStyle = colour;
  g.font = `11px ${family}`;
  g.textAlign = "right";
  g.textBaseline = "middle";
  d.rows.forEach((row, y) => {
    if (y % every === 0) g.fillText(String(row.layer), labelWidth - 8, (y + 0.5) * d.cellHeight);
  });
}

function HeatTable({ rows, experts }: { rows: HeatRow[]; experts: number }) {
  const [open, set] = useState(false);
  const whole = rows.length * experts <= tableCellsMax;
  return (
    <details class="as-table" onToggle={(event) => set(event.currentTarget.open)}>
      <summary>As a table</summary>
      {open && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Selections by layer and expert">
          <table class="dense">
            <thead>
              <tr>
                <th scope="col">Layer</th>
                <th scope="col" class="number">
                  Selections
                </th>
                <th scope="col" class="number">
                  Busiest
                </th>
                <th scope="col" class="number">
                  Never chosen
                </th>
                {whole &&
                  Array.from({ length: experts }, (_, i) => (
                    <th key={i} scope="col" class="number">
                      {i}
                    </th>
                  ))}
              </tr>
            </thead>
            <tbody>
              {rows.map((r) => (
                <tr key={r.layer}>
                  <th scope="row">{r.layer}</th>
                  <td class="number">{r.sum.toLocaleString("en")}</td>
                  <td class="number">
                    {busiest(r).expert} ({short(busiest(r).ratio)}×)
                  </td>
                  <td class="number">{unused(r)}</td>
                  {whole &&
                    r.counts.map((n, i) => (
                      <td key={i} class="number">
                        {n.toLocaleString("en")}
                      </td>
                    ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {open && !whole && (
        <p class="soft">There are too many experts for a table of each; the JSON of the run has them.</p>
      )}
    </details>
  );
}
