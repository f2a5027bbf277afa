// Whether the server answers. A request that finds nobody sets `away`; from then on /healthz is asked, slower and
// slower, until it answers again. Then `epoch` grows, and whatever shows data asks for it again (resource.ts).
import { signal } from "@preact/signals";

export const away = signal(false);
export const epoch = signal(0);

const firstWaitMs = 1000;
const waitMsMax = 10_000;

export function lost(): void {
  if (away.value) return;
  away.value = true;
  void askAgain(firstWaitMs);
}

async function askAgain(waitMs: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, waitMs));
  if (await answers()) {
    away.value = false;
    epoch.value++;
  } else {
    void askAgain(Math.min(waitMs * 1.5, waitMsMax));
  }
}

async function answers(): Promise<boolean> {
  try {
    return (await fetch("/healthz", { cache: "no-store", signal: AbortSignal.timeout(5000) })).ok;
  } catch {
    return false;
  }
}
