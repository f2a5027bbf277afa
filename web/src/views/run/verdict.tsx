// Right, wrong or undecided, by the task's first metric, as icon and word.
import type { Sample } from "../../lib/types.ts";
import { Icon, type IconName } from "../../ui/icon.tsx";

const looks: Record<string, { icon: IconName; tone: string }> = {
  correct: { icon: "check", tone: "good" },
  wrong: { icon: "cross", tone: "bad" },
  undecided: { icon: "info", tone: "waiting" },
  failed: { icon: "warning", tone: "bad" },
  ungraded: { icon: "clock", tone: "quiet" },
};

export function kindOf({ answer, verdicts: [verdict] }: Sample): string {
  return answer.status === "failed" ? "failed" : (verdict?.kind ?? "ungraded");
}

export function VerdictBadge({ sample, kind = kindOf(sample!) }: { sample?: Sample; kind?: string }) {
  const look = looks[kind] ?? looks.ungraded!;
  return (
    <span class={"badge " + look.tone} data-testid="verdict">
      <Icon name={look.icon} />
      {kind === "ungraded" ? "not graded" : kind}
    </span>
  );
}
