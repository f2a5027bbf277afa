// The board: every finished run, one row each.
import { figureOf, valueOf } from "../lib/figures.ts";
import { useResource } from "../lib/resource.ts";
import { useUrlState } from "../lib/router.ts";
import type { Board, BoardRow } from "../lib/types.ts";
import { flag, text } from "../lib/urlstate.ts";
import { ErrorBox } from "../ui/errorbox.tsx";
import { FigureValue } from "../ui/figure.tsx";

const schema = { q: text(), sort: text(), down: flag() };
const figures = ["ttft_ms_p50", "tpot_ms_p50", "output_tokens_per_s", "prefill_tokens_per_s", "activated_experts_prefill", "activated_experts_decode"];

export function BoardView() {
  const board = useResource<Board>("board");
  const [state, set] = useUrlState(schema);

  if (board.error) return <ErrorBox error={board.error} retry={board.reload} />;
  if (!board.value) return <p class="soft">Loading…</p>;
  const words = state.q.toLowerCase().split(";").map((w) => w.trim()).filter(Boolean);
  const rows = board.value.rows.filter((r) => words.length === 0 || words.some((w) => textOf(r).includes(w)));
  if (state.sort) rows.sort((a, b) => order(sortValue(a, state.sort), sortValue(b, state.sort), state.down));
  return (
    <>
      <p><input type="search" value={state.q} placeholder="model; task; precision" aria-label="Search, several terms with ;"
        onInput={(e) => set({ q: e.currentTarget.value }, true)} onChange={(e) => set({ q: e.currentTarget.value })} />
        <span class="soft" role="status"> {rows.length} of {board.value.rows.length} runs</span></p>
      <div class="scroll"><table data-testid="board">
        <thead><tr>{["model", "engine", "precision", "task", "accuracy", ...figures].map((id) => (
          <th key={id} scope="col" aria-sort={state.sort === id ? (state.down ? "descending" : "ascending") : undefined}>
            <button type="button" class="bare" onClick={() => set({ sort: id, down: state.sort === id && !state.down })}>{id}</button></th>))}</tr></thead>
        <tbody>{rows.map((r) => (
          <tr key={r.run_id}>
            <td><a href={"/runs/" + r.run_id}>{r.spec.model}</a></td><td>{r.spec.engine}</td><td>{r.spec.precision}</td><td>{r.task}</td>
            <td class="number"><FigureValue figure={figureOf(r, r.headline_metric)} share axis={{ min: 0, max: 1 }} /></td>
            {figures.map((id) => <td key={id} class="number"><FigureValue figure={figureOf(r, id)} /></td>)}
          </tr>))}</tbody>
      </table></div>
    </>
  );
}

function textOf(r: BoardRow): string {
  return [r.spec.model, r.spec.engine, r.spec.precision, r.task, r.run_id].join(" ").toLowerCase();
}

function sortValue(r: BoardRow, id: string): number | string | null {
  if (id === "accuracy") return valueOf(figureOf(r, r.headline_metric));
  if (figures.includes(id)) return valueOf(figureOf(r, id));
  return textOf(r);
}

function order(a: number | string | null, b: number | string | null, down: boolean): number {
  if (a === null || b === null) return Number(a === null) - Number(b === null);
  const way = typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
  return down ? -way : way;
}
