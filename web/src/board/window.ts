// Which rows of a long table are drawn: those in sight and a few around them. Every row has the same height, so
// this is arithmetic and nothing jumps.
export interface Window {
  first: number;
  last: number;
  before: number;
  after: number;
} // rows, and pixels around them

export function windowOf(scrollTop: number, height: number, rowHeight: number, count: number, around = 8): Window {
  const first = Math.max(0, Math.min(count, Math.floor(scrollTop / rowHeight) - around));
  const last = Math.max(first, Math.min(count, Math.ceil((scrollTop + height) / rowHeight) + around));
  return { first, last, before: first * rowHeight, after: (count - last) * rowHeight };
}

/** Where to scroll so that a row is in sight below `top` pixels of header; the same place if it is. */
export function scrollFor(index: number, scrollTop: number, height: number, rowHeight: number, top: number): number {
  const start = index * rowHeight;
  if (start < scrollTop) return start;
  const end = start + rowHeight + top;
  return end > scrollTop + height ? end - height : scrollTop;
}
