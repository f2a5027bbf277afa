// A button that ends a run or an evaluation, after a question.
import { useState } from "preact/hooks";
import { type ApiError, post } from "../lib/api.ts";
import { Dialog } from "./dialog.tsx";
import { ErrorBox } from "./errorbox.tsx";
import { Icon } from "./icon.tsx";

interface Props {
  id: string;
  what: string;
  onDone?: (said: string) => void;
  small?: boolean;
}

interface CancelReply {
  run_ids: string[];
  ended_ids: string[];
}

export function CancelButton({ id, what, onDone, small = false }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <>
      <button
        type="button"
        class={small ? "small" : ""}
        data-testid="cancel"
        aria-label={small ? `Cancel ${what}` : undefined}
        onClick={() => setOpen(true)}
      >
        <Icon name="ban" />
        Cancel
      </button>
      <Dialog open={open} title={`Cancel ${what}?`} onClose={() => setOpen(false)} testid="cancel-dialog">
        {() => <Question id={id} what={what} close={() => setOpen(false)} onDone={onDone} />}
      </Dialog>
    </>
  );
}

function Question({
  id,
  what,
  close,
  onDone,
}: {
  id: string;
  what: string;
  close: () => void;
  onDone?: (said: string) => void;
}) {
  const [reason, setReason] = useState("");
  const [error, setError] = useState<ApiError | null>(null);
  const [sending, setSending] = useState(false);

  const send = async (event: Event) => {
    event.preventDefault();
    setSending(true);
    const reply = await post<CancelReply>("cancel", { id, reason });
    setSending(false);
    setError(reply.ok ? null : reply.error);
    if (!reply.ok) return;
    close();
    onDone?.(reply.value.run_ids.length > 0 ? "Cancelled." : "It had already ended.");
  };
  return (
    <form onSubmit={send}>
      <p>Answers so far are kept, but no figures are computed. This cannot be undone.</p>
      <div class="field">
        <label for="cancel-reason">Reason (optional, stored with the run)</label>
        <input id="cancel-reason" value={reason} maxLength={200} onInput={(e) => setReason(e.currentTarget.value)} />
      </div>
      {error && <ErrorBox error={error} />}
      <p class="buttons">
        <button type="button" onClick={close}>
          Keep running
        </button>
        <button type="submit" class="danger" disabled={sending} data-testid="cancel-yes">
          {sending ? "Cancelling…" : `Cancel ${what.replace(/^the /, "")}`}
        </button>
      </p>
    </form>
  );
}
