// Downloads: this view, or everything that the API has. Every file is whole.
import { useState } from "preact/hooks";
import type { Column } from "./column.ts";
import { toCsv } from "./csv.ts";
import type { Row } from "./rows.ts";
import { get, type Result } from "../lib/api.ts";
import { number } from "../lib/format.ts";
import type { Board, BoardRow } from "../lib/types.ts";
import { Icon } from "../ui/icon.tsx";
import { Popover } from "../ui/popover.tsx";

export function Download({ rows, columns }: { rows: readonly Row[]; columns: readonly Column[] }) {
  const [fetched, setFetched] = useState<number | null>(null);
  const [failed, setFailed] = useState("");

  // A reply has a size limit, so the pages are put together here.
  const saveAll = async () => {
    const all: BoardRow[] = [];
    setFailed("");
    setFetched(0);
    for (let after: string | undefined = ""; after !== undefined;) {
      const page: Result<Board> = await get<Board>(`board?after=${encodeURIComponent(after)}`);
      if (!page.ok) return setFailed(page.error.message);
      all.push(...page.value.rows);
      setFetched(all.length);
      after = page.value.next_after;
    }
    save("moecap-board-all.json", "application/json", JSON.stringify({ rows: all }));
    setFetched(null);
  };

  return (
    <Popover
      name="Download"
      testid="download"
      end
      label={
        <>
          <Icon name="download" />
          Download
        </>
      }
    >
      {() => (
        <div class="menu">
          <button type="button" onClick={() => save("moecap-board.csv", "text/csv", toCsv(rows, columns))}>
            This view (CSV)
          </button>
          <a href="/api/v1/board?format=csv" download="moecap-board-all.csv">
            All columns, all runs (CSV)
          </a>
          <button type="button" disabled={fetched !== null && !failed} onClick={() => void saveAll()}>
            All columns, all runs (JSON)
          </button>
          {fetched !== null && (
            <p class="soft" role="status">
              {failed ? `Not saved: ${failed}` : `${number(fetched)} runs read…`}
            </p>
          )}
        </div>
      )}
    </Popover>
  );
}

function save(name: string, type: string, text: string) {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
