// Where a run stands, as icon and word; colour only repeats it.
import type { RunState } from "../lib/types.ts";
import { Icon, type IconName } from "./icon.tsx";

const looks: Record<RunState, { icon: IconName; tone: string }> = {
  queued: { icon: "clock", tone: "waiting" },
  leased: { icon: "clock", tone: "waiting" },
  running: { icon: "play", tone: "active" },
  grading: { icon: "pen", tone: "active" },
  finished: { icon: "check", tone: "good" },
  failed: { icon: "cross", tone: "bad" },
  cancelled: { icon: "ban", tone: "quiet" },
  invalid: { icon: "warning", tone: "bad" },
};

export function StateBadge({ state, reason }: { state: RunState; reason?: string }) {
  const look = looks[state] ?? { icon: "info" as const, tone: "quiet" };
  return (
    <span
      class={"badge " + look.tone}
      data-testid="state"
      data-state={state}
      {...(reason ? { "data-tip": reason, tabIndex: 0 } : {})}
    >
      <Icon name={look.icon} />
      {state}
      {reason && <span class="away-from-eyes">: {reason}</span>}
    </span>
  );
}
