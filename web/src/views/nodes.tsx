// The machines that are connected now, and what each offers. Asked again every two seconds.
import { plural } from "../lib/format.ts";
import { useResource } from "../lib/resource.ts";
import type { Nodes } from "../lib/types.ts";
import { ErrorBox } from "../ui/errorbox.tsx";

const refreshMs = 2000;

export function NodesView() {
  const nodes = useResource<Nodes>("nodes", refreshMs);

  if (nodes.error) return <ErrorBox error={nodes.error} retry={nodes.reload} />;
  if (!nodes.value) return <p class="soft">Loading…</p>;
  return (
    <>
      <h1>Nodes</h1>
      <p class="soft" role="status">{plural(nodes.value.nodes.length, "node")} connected</p>
      <div class="scroll"><table data-testid="nodes">
        <thead><tr>{["node", "engines", "precisions", "models", "works on"].map((t) => <th key={t} scope="col">{t}</th>)}</tr></thead>
        <tbody>
          {nodes.value.nodes.map((n) => (
            <tr key={n.node_id}>
              <td>{n.hello.name}</td>
              <td>{n.hello.engines.join(", ")}</td>
              <td>{n.hello.precisions.join(", ")}</td>
              <td>{n.hello.models.map((m) => m.name).join(", ")}</td>
              <td>{n.run_id ? <a href={"/runs/" + encodeURIComponent(n.run_id)}>{n.run_id}</a> : "nothing"}</td>
            </tr>
          ))}
        </tbody>
      </table></div>
    </>
  );
}
