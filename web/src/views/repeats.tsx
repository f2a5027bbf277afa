// The mean over an evaluation's repeats. A run is one observation, so the interval says how far another run may lie.
import { columns } from "../board/columns.ts";
import { useResource } from "../lib/resource.ts";
import type { RepeatGroup } from "../lib/compared.ts";
import type { Figure } from "../lib/types.ts";
import { FigureValue } from "../ui/figure.tsx";
import { intervalText } from "../lib/figures.ts";

const shown = ["ttft_ms_p50", "ttft_ms_p99", "tpot_ms_p50", "output_tokens_per_s", "requests_per_s", "goodput_per_s"];

/** Nothing where no task was repeated, or while nothing is known. */
export function Repeats({ id }: { id: string }) {
  const reply = useResource<{ groups: RepeatGroup[] }>(`repeats?evaluation=${encodeURIComponent(id)}`);
  const groups = (reply.value?.groups ?? []).filter((g) => g.run_ids.length > 1);
  if (groups.length === 0) return null;
  return (
    <>
      <h2>Over repeats</h2>
      <p class="soft">
        Means over runs with 95 % intervals over runs. Three runs make an interval worth reading, five a winner.
      </p>
      {groups.map((group) => (
        <div key={group.task} class="scroll">
          <table class="figures" data-testid="repeats">
            <caption>
              {group.task}, {group.run_ids.length} finished runs
            </caption>
            <thead>
              <tr>
                <th scope="col">Figure</th>
                <th scope="col" class="number">
                  Mean
                </th>
                <th scope="col">Unit</th>
                <th scope="col">95 % interval</th>
              </tr>
            </thead>
            <tbody>
              {picked(group).map((figure) => (
                <Line key={figure.id} figure={figure} share={figure.id === group.headline_metric} />
              ))}
            </tbody>
          </table>
        </div>
      ))}
    </>
  );
}

function picked(group: RepeatGroup): Figure[] {
  const wanted = [group.headline_metric, ...shown];
  return wanted.flatMap((id) => group.figures.filter((f) => f.id === id));
}

function Line({ figure, share }: { figure: Figure; share: boolean }) {
  const title = share ? "Accuracy" : (columns.find((c) => c.id === figure.id)?.title ?? figure.id);
  return (
    <tr>
      <th scope="row">
        {title} <code class="soft id">{figure.id}</code>
      </th>
      <td class="number">
        <FigureValue figure={{ ...figure, low: undefined, high: undefined }} share={share} focusable={false} />
      </td>
      <td class="soft">{share ? "%" : figure.unit}</td>
      <td class="soft">{intervalText(figure, share).replace(/^95 % interval: /, "") || figure.reason}</td>
    </tr>
  );
}
