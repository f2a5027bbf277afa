// A histogram with buckets that grow by a constant factor, made ready to be drawn over a logarithmic axis.
import { short } from "./format.ts";
import type { Histogram } from "./types.ts";

export interface Bucket {
  from: number;
  to: number;
  count: number;
}

/** From the first bucket that holds something to the last. */
export function bucketsOf({ lowest, growth, counts }: Histogram): Bucket[] {
  const first = counts.findIndex((n) => n > 0);
  if (first < 0) return [];
  let last = counts.length - 1;
  while (counts[last] === 0) last--;
  return counts
    .slice(first, last + 1)
    .map((count, i) => ({ from: lowest * growth ** (first + i), to: lowest * growth ** (first + i + 1), count }));
}

/** Where `value` lies between `min` and `max`, 0 to 1, by its logarithm. */
export function logPlace(value: number, min: number, max: number): number {
  return max > min ? Math.log(value / min) / Math.log(max / min) : 0;
}

/** Round values between the ends, as many as fit: every one of a decade, or some, or only powers of ten. */
export function logTicks(min: number, max: number, most: number): number[] {
  const decades = Array.from({ length: 40 }, (_, i) => 10 ** (i - 12));
  const fits = (steps: number[]) => decades.flatMap((d) => steps.map((s) => s * d)).filter((v) => v >= min && v <= max);
  const fine = [
    [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 5, 7],
    [1, 2, 5],
  ]
    .map(fits)
    .find((ticks) => ticks.length <= most);
  if (fine) return fine;
  const powers = fits([1]);
  return powers.filter((_, i) => i % Math.ceil(powers.length / most) === 0);
}

/** Microseconds as people say them. */
export function microseconds(us: number): string {
  if (us < 1000) return `${short(us)} µs`;
  return us < 1e6 ? `${short(us / 1000)} ms` : `${short(us / 1e6)} s`;
}
