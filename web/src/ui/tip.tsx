// One tooltip for the whole page: whatever has data-tip shows that text when the pointer rests on it or the keyboard
// reaches it. It floats above everything, so that no table cuts it off, costs nothing per cell, stays while the
// pointer is on it, and goes with Escape.
import { useEffect, useRef, useState } from "preact/hooks";

interface Shown {
  text: string;
  x: number;
  y: number;
  above: boolean;
  target: Element;
}

export function TipLayer() {
  const [tip, set] = useState<Shown | null>(null);
  const box = useRef<HTMLDivElement>(null);

  useEffect(() => {
    // A pointer that rests while the keyboard scrolls the table below it does not ask for anything.
    let rests = { x: -1, y: -1 };
    const point = (event: PointerEvent) => {
      const moved = event.clientX !== rests.x || event.clientY !== rests.y;
      rests = { x: event.clientX, y: event.clientY };
      if (moved) show(event);
    };
    const show = (event: Event) => {
      const at = event.target instanceof Element ? event.target : null;
      if (at && box.current?.contains(at)) return;
      const target = at?.closest("[data-tip]");
      set((old) => (target ? (old?.target === target ? old : place(target)) : null));
    };
    const hide = () => set(null);
    // What is scrolled takes its tip along, as long as pointer or focus are still on it.
    const follow = () => set((old) => (old && holds(old.target, rests) ? place(old.target) : null));
    const onKey = (event: KeyboardEvent) => {
      if (event.key === "Escape") hide();
    };
    document.addEventListener("pointerover", point);
    document.addEventListener("focusin", show);
    document.addEventListener("focusout", hide);
    document.addEventListener("keydown", onKey);
    document.addEventListener("scroll", follow, true);
    return () => {
      document.removeEventListener("pointerover", point);
      document.removeEventListener("focusin", show);
      document.removeEventListener("focusout", hide);
      document.removeEventListener("keydown", onKey);
      document.removeEventListener("scroll", follow, true);
    };
  }, []);

  return (
    <div
      ref={box}
      id="tip"
      role="tooltip"
      class={"tip" + (tip?.above ? " above" : "")}
      hidden={!tip}
      style={tip ? { left: `${tip.x}px`, top: `${tip.y}px` } : {}}
    >
      {tip?.text}
    </div>
  );
}

function holds(target: Element, pointer: { x: number; y: number }): boolean {
  return target.contains(document.activeElement) || target.contains(document.elementFromPoint(pointer.x, pointer.y));
}

const widthMax = 320;
const heightMax = 120;

function place(target: Element): Shown {
  const at = target.getBoundingClientRect();
  const above = at.bottom + heightMax > window.innerHeight;
  const x = Math.max(8, Math.min(at.left, window.innerWidth - widthMax - 8));
  return { text: target.getAttribute("data-tip") ?? "", x, y: above ? at.top - 6 : at.bottom + 6, above, target };
}
