// The page starts here: an address names a view, every view has its own file.
import "./style/theme.css";
import "./style/base.css";
import "./style/layout.css";
import "./style/parts.css";
import "./style/grid.css";
import "./style/board.css";
import "./style/views.css";
import { type ComponentChildren, render } from "preact";
import { boardPath } from "./board/data.ts";
import { schema } from "./board/state.ts";
import { askAhead } from "./lib/api.ts";
import { path, query, startRouter } from "./lib/router.ts";
import { readState } from "./lib/urlstate.ts";
import { Layout } from "./ui/layout.tsx";
import { BoardView } from "./views/board.tsx";
import { EstimateView } from "./views/estimate.tsx";
import { EvaluationView } from "./views/evaluation.tsx";
import { ModelView } from "./views/model.tsx";
import { NodesView } from "./views/nodes.tsx";
import { QueueView } from "./views/queue.tsx";
import { RunView } from "./views/run.tsx";
import { SubmitView } from "./views/submit.tsx";
import { TaskView } from "./views/task.tsx";

interface View {
  title: string;
  wide?: boolean;
  body: ComponentChildren;
}

/** Text that is not encoded stays as it is: the server then says that the run does not exist. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function viewOf(path: string): View {
  if (path === "/submit") return { title: "Submit", body: <SubmitView /> };
  if (path === "/queue") return { title: "Queue", body: <QueueView /> };
  if (path === "/estimate") return { title: "Estimate", body: <EstimateView /> };
  if (path === "/nodes") return { title: "Nodes", body: <NodesView /> };
  const [, folder, name] = /^\/([a-z]+)\/([^/]+)$/.exec(path) ?? [];
  const id = decoded(name ?? "");
  if (folder === "evaluations") return { title: "Evaluation", body: <EvaluationView key={id} id={id} /> };
  if (folder === "runs") return { title: id, body: <RunView key={id} id={id} /> };
  if (folder === "tasks") return { title: `Task ${id}`, body: <TaskView key={id} name={id} /> };
  if (folder === "models") return { title: `Model ${id}`, body: <ModelView key={id} name={id} /> };
  if (path === "/") return { title: "Board", wide: true, body: <BoardView /> };
  return { title: "Page not found", body: <NoPage path={path} /> };
}

function NoPage({ path }: { path: string }) {
  return (
    <>
      <h1>Page not found</h1>
      <p>
        Page not found: <code>{decoded(path)}</code>. <a href="/">Go to the board.</a>
      </p>
    </>
  );
}

function App() {
  const view = viewOf(path.value);
  return (
    <Layout title={view.title} wide={view.wide ?? false}>
      {view.body}
    </Layout>
  );
}

startRouter();
if (path.peek() === "/") askAhead(boardPath(readState(schema, query.peek()))); // drawing the frame takes a while
render(<App />, document.getElementById("app")!);
