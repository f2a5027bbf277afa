// One sample in full: what the model saw and wrote, what was right, how it was judged, how long it took, and which
// experts its tokens went to.
import type { ComponentChildren } from "preact";
import { useMemo, useRef, useState } from "preact/hooks";
import { short } from "../../lib/format.ts";
import { rowsOfSample } from "../../lib/heat.ts";
import { microseconds } from "../../lib/histogram.ts";
import { useResource } from "../../lib/resource.ts";
import { path } from "../../lib/router.ts";
import type { Run, Sample, SampleAnswer, SampleRouting, Samples, Score, Verdict } from "../../lib/types.ts";
import { useWidth } from "../../lib/width.ts";
import { HeatMap } from "../../ui/heatmap.tsx";
import { Icon } from "../../ui/icon.tsx";
import { whyNone } from "./experts.tsx";
import { just, samplesPath, tpotOf, ttftOf } from "./samples.tsx";
import { phases } from "./state.ts";
import { VerdictBadge } from "./verdict.tsx";

export function SampleDetail({ run, sample }: { run: Run; sample: Sample }) {
  const { answer, verdicts } = sample;
  const gold = useMemo(() => parsed(sample.doc_json), [sample.doc_json]);
  return (
    <div class="sample-detail" data-testid="sample-detail">
      <div class="texts">
        <Text title="Prompt, as the model saw it" text={answer.prompt} none="not recorded" testid="prompt" />
        {answer.reasoning && <Text title="Reasoning" text={answer.reasoning} none="" />}
        {answer.scores.length > 0 ? (
          <Scores scores={answer.scores} choices={gold?.choices} />
        ) : (
          <Text
            title="Answer"
            text={answer.text}
            none={answer.error ? `none: ${answer.error}` : "empty"}
            testid="answer"
          />
        )}
        {sample.escaped && (
          <p class="note soft">
            <Icon name="info" /> Bytes that are not text are shown as &lt;0xNN&gt;.
          </p>
        )}
        <Gold run={run} doc={gold} text={sample.doc_json} />
      </div>
      <div class="about-sample">
        <Verdicts verdicts={verdicts} />
        <Times sample={sample} run={run} />
        <p>
          <a class="with-icon" href={`${path.value}?show=samples&sample=${answer.ordinal}`}>
            <Icon name="link" />
            Link to this sample
          </a>
        </p>
      </div>
      <Routing run={run} ordinal={answer.ordinal} />
    </div>
  );
}

function parsed(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = text ? JSON.parse(text) : null;
    return value !== null && typeof value === "object" && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null;
  } catch {
    return null; // shown as it is
  }
}

function Text({ title, text, none, testid }: { title: string; text: string; none: string; testid?: string }) {
  return (
    <section>
      <h3>{title}</h3>
      {text ? (
        <pre tabIndex={0} data-testid={testid}>
          {text}
        </pre>
      ) : (
        <p class="soft" data-testid={testid}>
          {none}
        </p>
      )}
    </section>
  );
}

function Gold({ run, doc, text }: { run: Run; doc: Record<string, unknown> | null; text: string }) {
  if (!text)
    return (
      <section>
        <h3>Reference</h3>
        <p class="soft" data-testid="gold">
          {run.row.ended_at_ms ? "not recorded" : "Shown when the run has ended."}
        </p>
      </section>
    );
  return (
    <section>
      <h3>Reference, from the task's data</h3>
      {doc ? (
        <dl class="facts gold" data-testid="gold">
          {Object.entries(doc).map(([key, value]) => (
            <>
              <dt>{key}</dt>
              <dd class="text">{typeof value === "string" ? value : JSON.stringify(value)}</dd>
            </>
          ))}
        </dl>
      ) : (
        <pre tabIndex={0} data-testid="gold">
          {text}
        </pre>
      )}
    </section>
  );
}

function Scores({ scores, choices }: { scores: Score[]; choices: unknown }) {
  const texts = Array.isArray(choices) ? choices.map(String) : [];
  const best = scores.reduce((b, s, i) => (s.log_likelihood > scores[b]!.log_likelihood ? i : b), 0);
  return (
    <section>
      <h3>Log-likelihood of each choice</h3>
      <div class="scroll">
        <table class="dense" data-testid="answer">
          <thead>
            <tr>
              <th scope="col">Choice</th>
              <th scope="col" class="number">
                Log-likelihood
              </th>
              <th scope="col" class="number">
                Tokens
              </th>
              <th scope="col">Likeliest token by token</th>
            </tr>
          </thead>
          <tbody>
            {scores.map((s, i) => (
              <tr key={i} class={i === best ? "best" : ""}>
                <td class="wrap">
                  {String.fromCharCode(65 + (i % 26))}
                  {texts[i] !== undefined && `: ${texts[i]}`}
                  {i === best && <b> (likeliest)</b>}
                </td>
                <td class="number">{s.log_likelihood.toFixed(4)}</td>
                <td class="number">{s.tokens}</td>
                <td>{s.greedy ? "yes" : "no"}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </section>
  );
}

function Verdicts({ verdicts }: { verdicts: Verdict[] }) {
  if (verdicts.length === 0)
    return (
      <section>
        <h3>Verdict</h3>
        <p class="soft">Not graded yet.</p>
      </section>
    );
  return (
    <section>
      <h3>{verdicts.length > 1 ? "Verdicts" : "Verdict"}</h3>
      <ul class="plain verdicts">
        {verdicts.map((v) => (
          <li key={v.metric + v.version}>
            <VerdictBadge kind={v.kind} /> <code>{v.metric}</code>
            <span class="soft">
              {[
                v.extracted && `extracted “${v.extracted}”`,
                v.reason,
                v.unanswered && "nothing that looks like an answer",
                v.truncated && "cut at the token limit",
                v.score !== 0 && v.score !== 1 && `score ${short(v.score)}`,
                `grader v${v.version}`,
              ]
                .filter(Boolean)
                .join("; ")}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

const dash = (text: string | null | undefined, why: string): ComponentChildren =>
  text ?? <span class="soft">– {why}</span>;
const count = (n: number | undefined): string | undefined => n?.toLocaleString("en");

function Times({ sample, run }: { sample: Sample; run: Run }) {
  const { answer } = sample,
    t = answer.timing;
  const first = ttftOf(t),
    each = tpotOf(sample);
  const scored = answer.scores.length > 0;
  const facts: [string, ComponentChildren][] = [
    [
      "Time to first token",
      dash(first === null ? null : microseconds(first), scored ? "scored, not generated" : "no token time"),
    ],
    [
      "of which waiting",
      dash(t?.started_us === undefined ? null : microseconds(t.started_us - t.submitted_us), "the engine did not say"),
    ],
    [
      "Time per output token",
      dash(each === null ? null : microseconds(each), scored ? "scored, not generated" : "no second token"),
    ],
    ["Total", dash(t ? microseconds(t.ended_us - t.submitted_us) : null, "no time recorded")],
    ["Prompt tokens", dash(count(answer.prompt_tokens), "the engine did not say")],
    ["of which cached", dash(count(answer.cached_tokens), "the engine did not say")],
    ["Output tokens", dash(count(answer.output_tokens), "the engine did not say")],
    ["Stop reason", answer.finish_reason || "unknown"],
    ["Attempt", String(sample.fence)],
    ["Retries", run.row.report ? `${run.row.report.retries} in the whole run` : dash(null, "no report yet")],
  ];
  return (
    <section>
      <h3>Times and tokens</h3>
      <dl class="facts tight" data-testid="sample-times">
        {facts.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
      </dl>
      {t && t.itl_us.length > 1 && <Gaps answer={answer} />}
    </section>
  );
}

const gapsHeight = 48;

/** The gap before each token, as bars. */
function Gaps({ answer }: { answer: SampleAnswer }) {
  const frame = useRef<HTMLDivElement>(null);
  const width = useWidth(frame);
  const gaps = answer.timing!.itl_us;
  const top = Math.max(1, ...gaps); // all gaps of the null engine may be 0
  const step = width / gaps.length;
  return (
    <figure class="gaps">
      <figcaption class="soft">Gap between tokens; longest {microseconds(top)}</figcaption>
      <div ref={frame} style={{ height: `${gapsHeight}px` }}>
        {width > 0 && (
          <svg
            width={width}
            height={gapsHeight}
            role="img"
            aria-label={`Gaps between ${gaps.length + 1} tokens, from ${microseconds(Math.min(...gaps))} to ${microseconds(top)}`}
          >
            {gaps.map((gap, i) => (
              <rect
                key={i}
                class="bar"
                x={i * step}
                width={Math.max(1, step - 1)}
                y={gapsHeight * (1 - gap / top)}
                height={Math.max(1, (gapsHeight * gap) / top)}
              />
            ))}
          </svg>
        )}
      </div>
    </figure>
  );
}

/** Asked for when a sample is opened: for a large model it is tens of kilobytes. */
function Routing({ run, ordinal }: { run: Run; ordinal: number }) {
  const page = useResource<Samples>(samplesPath(run.row.run_id, { ...just(ordinal), routing: 1 }));
  const routing = page.value?.samples.find((s) => s.answer.ordinal === ordinal)?.answer.routing;
  return (
    <section class="whole" data-testid="routing">
      <h3>Expert routing of this sample</h3>
      {!page.value ? (
        <p class="soft">{page.error?.message ?? "Loading…"}</p>
      ) : routing ? (
        <RoutingMap routing={routing} />
      ) : (
        <p class="soft">– {whyNone(run)}</p>
      )}
    </section>
  );
}

function RoutingMap({ routing }: { routing: SampleRouting }) {
  const [phase, set] = useState<(typeof phases)[number]>("both");
  const rows = useMemo(() => rowsOfSample(routing.layers, routing.experts, phase), [routing, phase]);
  return (
    <>
      <div class="choices" role="group" aria-label="Phase">
        {phases.map((p) => (
          <button key={p} type="button" class="small" aria-pressed={phase === p} onClick={() => set(p)}>
            {p === "both" ? "prompt and answer" : p === "prefill" ? "prompt" : "answer"}
          </button>
        ))}
        <span class="soft">
          {routing.top_k} of {routing.experts} per token and layer; reported by the {routing.source}
        </span>
      </div>
      {rows.some((r) => r.sum > 0) ? (
        <HeatMap
          rows={rows}
          order="number"
          label="Selections of experts by this sample's tokens, layers downwards, experts to the right"
        />
      ) : (
        <p class="soft">No expert selections for this phase.</p>
      )}
    </>
  );
}
