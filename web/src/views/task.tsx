// A task: what it asks, how it is graded, and where its results are.
import { number } from "../lib/format.ts";
import { useResource } from "../lib/resource.ts";
import type { TaskInfo, Tasks } from "../lib/types.ts";
import { list } from "../lib/urlstate.ts";
import { Card, code, type Fact, or } from "../ui/card.tsx";
import { ErrorBox } from "../ui/errorbox.tsx";
import { RunsOf } from "../ui/runsof.tsx";

/** What a model is given and what is right, by their keys in the task's file (docs/tasks.md). */
const templates: [key: string, title: string][] = [
  ["description", "In front of everything"],
  ["doc_to_text", "Question"],
  ["doc_to_choice", "Choices"],
  ["doc_to_target", "Reference"],
];

export function TaskView({ name }: { name: string }) {
  const tasks = useResource<Tasks>("tasks");
  const task = tasks.value?.tasks.find((t) => t.name === name);
  return (
    <>
      <h1>
        Task <span class="soft">{name}</span>
      </h1>
      {tasks.error && <ErrorBox error={tasks.error} retry={tasks.reload} />}
      {!tasks.value && !tasks.error && <p class="soft">Loading…</p>}
      {tasks.value && !task && (
        <p class="empty">
          This suite has no task "{name}" (any more). <a href="/submit">Submit</a> lists its tasks.
        </p>
      )}
      {task && <Task task={task} />}
      <RunsOf by="task" name={name} title={(row) => row.spec.model} />
    </>
  );
}

function Task({ task }: { task: TaskInfo }) {
  const definition = read(task.definition);
  return (
    <>
      <p data-testid="task-about">{task.description || "It has no description: metadata.description of its file."}</p>
      <div class="cards">
        <Card
          title="What it is"
          facts={[
            ["Version", or(task.version, "unknown")],
            ["Samples", `${number(task.samples)} of split ${task.split}`],
            ["Answers", task.output_type === "multiple_choice" ? "log-likelihood of each choice" : task.output_type],
            ["Few-shot examples", number(task.num_fewshot)],
            ["Metrics, headline first", or(task.metrics.join("; "), "none: it is for times")],
            ...metadataOf(definition),
            ["Definition", code(task.definition_sha256)],
            ["Data", code(task.data_sha256)],
          ]}
        />
        <section class="card">
          <h2>Prompt</h2>
          {templates
            .filter(([key]) => definition[key] !== undefined && definition[key] !== "")
            .map(([key, title]) => (
              <>
                <h3>
                  {title} <code class="soft">{key}</code>
                </h3>
                <pre tabIndex={0} data-testid={key}>
                  {shown(definition[key])}
                </pre>
              </>
            ))}
        </section>
      </div>
      <p class="buttons">
        <a class="button" href={"/submit?tasks=" + encodeURIComponent(list().format([task.name]))}>
          Submit an evaluation
        </a>
      </p>
      <details>
        <summary>The whole definition</summary>
        <pre tabIndex={0}>{JSON.stringify(definition, null, 2)}</pre>
      </details>
    </>
  );
}

/** What the file says of itself besides version and description: source, licence, ... */
function metadataOf({ metadata }: Record<string, unknown>): Fact[] {
  const others = Object.entries(metadata ?? {}).filter(([key]) => key !== "version" && key !== "description");
  return others.map(([key, value]): Fact => {
    const text = shown(value);
    const isAddress = /^https?:\/\/\S+$/.test(text);
    return [
      key[0]!.toUpperCase() + key.slice(1),
      isAddress ? (
        <a href={text} rel="noreferrer">
          {text}
        </a>
      ) : (
        text
      ),
    ];
  });
}

const shown = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value, null, 2));

function read(definition: string): Record<string, unknown> {
  try {
    return JSON.parse(definition) as Record<string, unknown>;
  } catch {
    return {};
  }
}
