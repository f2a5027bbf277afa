// A model, by the name that its results have: shape and size as a run and the nodes tell them, and its runs.
import { bytes, number, parameters } from "../lib/format.ts";
import { useResource } from "../lib/resource.ts";
import type { Board, NodeModel, Nodes, ShardReport } from "../lib/types.ts";
import { Card, code, type Fact, or } from "../ui/card.tsx";
import { ErrorBox } from "../ui/errorbox.tsx";
import { RunsOf } from "../ui/runsof.tsx";

interface Offer {
  node: string;
  model: NodeModel;
}

export function ModelView({ name }: { name: string }) {
  const nodes = useResource<Nodes>("nodes");
  const query = new URLSearchParams({ model: name, limit: "1", figures: "accuracy" });
  const latest = useResource<Board>(`board?${query}`).value?.rows[0];
  const offers = nodes.value?.nodes.flatMap(({ hello }) =>
    hello.models.filter((m) => m.name === name).map((model): Offer => ({ node: hello.name, model })),
  );
  return (
    <>
      <h1>
        Model <span class="soft">{name}</span>
      </h1>
      {nodes.error && <ErrorBox error={nodes.error} retry={nodes.reload} />}
      <div class="cards">
        <Card title="Shape" facts={shapeOf(latest?.report)}>
          <p class="soft about">
            {latest ? (
              <>
                As <a href={"/runs/" + encodeURIComponent(latest.run_id)}>its latest run</a> reports it.
              </>
            ) : (
              "A run reports it, and none of this model has finished."
            )}
          </p>
        </Card>
        {offers?.length === 0 && <Card title="Nodes" facts={[["Offered by", or("", "no connected node")]]} />}
        {offers?.map((offer) => (
          <Card key={offer.node} title={`On ${offer.node}`} facts={offered(offer.model)} />
        ))}
      </div>
      <p class="buttons">
        <a class="button" href={"/submit?model=" + encodeURIComponent(name)}>
          Submit an evaluation
        </a>
        {offers?.some(({ model }) => model.config) && (
          <a class="button" href={"/estimate?model=" + encodeURIComponent(name)}>
            Estimate its speed
          </a>
        )}
      </p>
      <RunsOf by="model" name={name} title={(row) => row.task} />
    </>
  );
}

function shapeOf(report: ShardReport | undefined): Fact[] {
  const count = (value: number | undefined) => or(value && number(value), "unknown");
  const size = (value: number | undefined) => or(value && parameters(value), "unknown");
  return [
    ["Family", or(report?.model_family, "unknown")],
    ["Parameters", size(report?.parameters)],
    ["Active for a token", size(report?.active_parameters)],
    ["Layers with experts", count(report?.moe_layers)],
    ["Experts of a layer", count(report?.experts)],
    ["Experts for a token (top-k)", count(report?.top_k)],
  ];
}

function offered(model: NodeModel): Fact[] {
  return [
    ["Family", or(model.family, "unknown")],
    ["Size", or(model.bytes && bytes(model.bytes), "unknown")],
    ["Context", or(model.context_tokens && `${number(model.context_tokens)} tokens`, "unknown")],
    ["Directory", code(model.path)],
    ["Weights", code(model.sha256)],
    ...(model.problem ? [["Cannot be loaded", model.problem] as Fact] : []),
  ];
}
