// A modal dialog on the browser's own <dialog>: focus stays inside, Escape closes, focus returns where it was.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Icon } from "./icon.tsx";

interface Props {
  open: boolean;
  title: string;
  onClose: () => void;
  children: () => ComponentChildren;
  testid?: string;
}

export function Dialog({ open, title, onClose, children, testid }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);

  useEffect(() => {
    if (open && !dialog.current!.open) dialog.current!.showModal();
    if (!open && dialog.current!.open) dialog.current!.close();
  }, [open]);

  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-label={title}
      data-testid={testid}
      onClose={onClose}
      onClick={(event) => {
        if (event.target === dialog.current) onClose();
      }}
    >
      {open && (
        <div class="dialog-body">
          <header>
            <h2>{title}</h2>
            <button type="button" class="bare" aria-label="Close" onClick={onClose}>
              <Icon name="cross" />
            </button>
          </header>
          {children()}
        </div>
      )}
    </dialog>
  );
}
