// Where a scrolling box stands and how high it is, at most once a frame. Who comes back to an address finds the box
// where it stood.
import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { address } from "../lib/router.ts";

const addressesMax = 200;
const left = new Map<string, number>();

export function useScroll(box: RefObject<HTMLElement | null>): { top: number; height: number } {
  const [place, set] = useState({ top: 0, height: 900 });

  useLayoutEffect(() => {
    const element = box.current!;
    element.scrollTop = left.get(address.peek()) ?? 0;
    let frame = 0;
    const read = () => {
      frame = 0;
      if (left.size > addressesMax) left.clear();
      left.set(address.peek(), element.scrollTop);
      set((old) =>
        old.top === element.scrollTop && old.height === element.clientHeight
          ? old
          : { top: element.scrollTop, height: element.clientHeight },
      );
    };
    const soon = () => {
      frame ||= requestAnimationFrame(read);
    };
    const sizes = new ResizeObserver(soon);
    sizes.observe(element);
    element.addEventListener("scroll", soon, { passive: true });
    read();
    return () => {
      sizes.disconnect();
      element.removeEventListener("scroll", soon);
      cancelAnimationFrame(frame);
    };
  }, []);
  return place;
}
