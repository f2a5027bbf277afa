// A moment in the viewer's zone, which is named; the machine's form beside it, and on hover, is in UTC.
import { time, timeOfDay, utc, zoneAt } from "../lib/format.ts";

export function Time({ ms, seconds = false }: { ms: number; seconds?: boolean }) {
  return (
    <time dateTime={utc(ms)} title={utc(ms)}>
      {seconds ? timeOfDay(ms) : time(ms)} {zoneAt(ms)}
    </time>
  );
}
