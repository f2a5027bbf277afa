// Whether the server answers. A request that finds nobody, or a gateway without its store or scheduler, sets `away`;
// from then on /readyz is asked, slower and slower, until all is there again. Then `epoch` grows, and whatever shows
// data asks for it again (resource.ts).
import { signal } from "@preact/signals";

export const away = signal(false);
export const epoch = signal(0);

const firstWaitMs = 1000;
const waitMsMax = 10_000;
const calmMs = 15_000; // lost again sooner than this: go on waiting as long as before

let waitMs = firstWaitMs;
let healedAt = -calmMs;

export function lost(): void {
  if (away.value) return;
  away.value = true;
  waitMs = performance.now() - healedAt < calmMs ? longer(waitMs) : firstWaitMs;
  void askAgain();
}

async function askAgain(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, waitMs));
  if (await answers()) {
    away.value = false;
    healedAt = performance.now();
    epoch.value++;
  } else {
    waitMs = longer(waitMs);
    void askAgain();
  }
}

function longer(ms: number): number {
  return Math.min(ms * 1.5, waitMsMax);
}

async function answers(): Promise<boolean> {
  try {
    return (await fetch("/readyz", { cache: "no-store", signal: AbortSignal.timeout(5000) })).ok;
  } catch {
    return false;
  }
}
