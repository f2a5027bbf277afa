// The data behind the picture: what is shown, or everything as the API has it.
import type { Column } from "./column.ts";
import { toCsv } from "./csv.ts";
import type { Row } from "./rows.ts";
import { Icon } from "../ui/icon.tsx";
import { Popover } from "../ui/popover.tsx";

export function Download({ rows, columns }: { rows: readonly Row[]; columns: readonly Column[] }) {
  const save = (name: string, type: string, text: string) => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    const link = document.createElement("a");
    link.href = url;
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
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
            Shown rows and columns, CSV
          </button>
          <a href="/api/v1/board?format=csv" download="moecap-board-all.csv">
            All that is known of each run, CSV
          </a>
          <a href="/api/v1/board" download="moecap-board-all.json">
            All that is known of each run, JSON
          </a>
          <p class="soft">
            The latest 1,000 runs; older ones: the API's <code>after</code>.
          </p>
        </div>
      )}
    </Popover>
  );
}
