// The axis of a curve.

/** The next of 1, 2, 4, 5 or 10 times a power of ten: a quarter of it is a number that people read easily. */
export function niceTop(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 4, 5, 8, 10].find((step) => step * power >= value) ?? 10) * power;
}
