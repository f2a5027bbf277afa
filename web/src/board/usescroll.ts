// Where a scrolling box stands and how high it is, at most once a frame.
import type { RefObject } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";

export function useScroll(box: RefObject<HTMLElement | null>): { top: number; height: number } {
  const [place, set] = useState({ top: 0, height: 900 });

  useLayoutEffect(() => {
    const element = box.current!;
    let frame = 0;
    const read = () => {
      frame = 0;
      set((old) => (old.top === element.scrollTop && old.height === element.clientHeight ? old : { top: element.scrollTop, height: element.clientHeight }));
    };
    const soon = () => { frame ||= requestAnimationFrame(read); };
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
