// "Edit and resubmit": the form, filled in as this run was.
import { formOf, schema } from "../../lib/spec.ts";
import type { BoardRow } from "../../lib/types.ts";
import { readState, writeState } from "../../lib/urlstate.ts";
import { Icon } from "../../ui/icon.tsx";

export function AgainLink({ row }: { row: BoardRow }) {
  const text = writeState(schema, { ...readState(schema, new URLSearchParams()), ...formOf(row.spec, row.run_id) });
  return (
    <a class="button" data-testid="again" href={"/submit?" + text}>
      <Icon name="pen" />
      Edit and resubmit
    </a>
  );
}
