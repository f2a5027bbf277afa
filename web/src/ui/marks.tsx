// The trust marks of a run: a word with its icon and the sentence why, never a colour alone.
import type { Mark } from "../lib/types.ts";
import { Icon } from "./icon.tsx";

/** On a run's own page there is room for the sentences. */
export function MarkList({ marks }: { marks: readonly Mark[] | undefined }) {
  if (!marks?.length) return null;
  return (
    <ul class="marks" data-testid="marks" aria-label="What to know of these figures">
      {marks.map((m) => (
        <li key={m.id} class={m.bad ? "bad" : ""}>
          <Icon name={m.bad ? "warning" : "info"} />
          <span>
            <b>{m.id}</b>: {m.text}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** In a cell of the board: an icon where a mark is bad, and what it means for those who do not see it. */
export function MarkIcon({ marks }: { marks: readonly Mark[] | undefined }) {
  const text = badMarks(marks);
  return text ? (
    <span class="mark-icon">
      <Icon name="warning" />
      <span class="away-from-eyes"> {text}</span>
    </span>
  ) : null;
}

export function badMarks(marks: readonly Mark[] | undefined): string {
  return (marks ?? [])
    .filter((m) => m.bad)
    .map((m) => `${m.id}: ${m.text}`)
    .join("\n");
}
