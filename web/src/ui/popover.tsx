// A button with a panel below it, made only while it is open: closes with Escape, by a click elsewhere, or when the focus leaves it.
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";

interface Props {
  label: ComponentChildren;
  name: string;
  children: () => ComponentChildren;
  testid?: string;
  end?: boolean;
  active?: boolean;
}

export function Popover({ label, name, children, testid, end = false, active = false }: Props) {
  const [open, set] = useState(false);
  const root = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);
  const id = useId();

  useEffect(() => {
    if (!open) return;
    const outside = (event: Event) => {
      if (!root.current!.contains(event.target as Node)) set(false);
    };
    const onKey = (event: KeyboardEvent) => {
      if (event.key !== "Escape") return;
      set(false);
      button.current!.focus();
    };
    document.addEventListener("pointerdown", outside);
    document.addEventListener("focusin", outside);
    document.addEventListener("keydown", onKey);
    return () => {
      document.removeEventListener("pointerdown", outside);
      document.removeEventListener("focusin", outside);
      document.removeEventListener("keydown", onKey);
    };
  }, [open]);

  return (
    <div class="popover" ref={root} data-testid={testid}>
      <button
        ref={button}
        type="button"
        class={active ? "active" : ""}
        aria-expanded={open}
        aria-controls={id}
        onClick={() => set(!open)}
      >
        {label}
      </button>
      <div id={id} class={"panel" + (end ? " end" : "")} role="group" aria-label={name} hidden={!open}>
        {open && children()}
      </div>
    </div>
  );
}
