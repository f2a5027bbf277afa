// The keyboard in the table: which cell it is on, and how to get to another. A cell that is not drawn is scrolled to
// first and focused once it is there.
import type { RefObject } from "preact";
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { moved, type Place } from "./keys.ts";

interface Table {
  rows: number;
  cols: number;
  start: Place;
  /** Brings a row into sight, if it is not. */
  show: (row: number) => void;
}

export function useKeys(box: RefObject<HTMLElement | null>, table: Table) {
  const [active, setActive] = useState<Place>(table.start);
  const wanted = useRef<Place | null>(null);

  useLayoutEffect(() => {
    const cell =
      wanted.current && box.current!.querySelector(`[data-at="${wanted.current.row}:${wanted.current.col}"]`);
    if (!cell) return;
    wanted.current = null;
    focusable(cell).focus({ preventScroll: true });
    cell.scrollIntoView({ block: "nearest", inline: "nearest" });
  });

  const onKeyDown = (event: KeyboardEvent) => {
    // From where the focus is on its way to, when keys come fast; else from where it is now, which is not always
    // where it was put: rows move when new runs come.
    const from = wanted.current ?? placeOf(event) ?? active;
    const next = moved(event.key, event.ctrlKey || event.metaKey, from, table.rows, table.cols);
    if (!next || event.altKey) return;
    event.preventDefault();
    wanted.current = next;
    table.show(next.row);
    setActive(next);
  };
  const onFocusIn = (event: FocusEvent) => {
    wanted.current = null;
    const place = placeOf(event);
    if (place && (place.row !== active.row || place.col !== active.col)) setActive(place);
  };
  /** Keeps the keyboard at a place whose row is about to move. */
  const hold = (place: Place) => {
    wanted.current = place;
  };
  return { active, hold, onKeyDown, onFocusIn };
}

function placeOf(event: Event): Place | null {
  const cell = event.target instanceof Element ? event.target.closest("[data-at]") : null;
  const [row, col] = (cell?.getAttribute("data-at") ?? "").split(":").map(Number);
  return row === undefined || col === undefined ? null : { row, col };
}

function focusable(cell: Element): HTMLElement {
  return cell.querySelector<HTMLElement>("a, button, input:not(:disabled)") ?? (cell as HTMLElement);
}
