// Which columns are shown, by group. Their order is the table's own, so that two people talk of the same picture.
import { type Column, groups } from "./column.ts";
import { type BoardState, schema, type SetBoard, toggled } from "./state.ts";
import { Icon } from "../ui/icon.tsx";
import { Popover } from "../ui/popover.tsx";

export function Chooser({ all, state, set }: { all: readonly Column[]; state: BoardState; set: SetBoard }) {
  const choose = (ids: readonly string[]) => set({ cols: all.map((c) => c.id).filter((id) => ids.includes(id)) });
  return (
    <Popover
      name="Columns"
      testid="columns"
      end
      label={
        <>
          <Icon name="columns" />
          Columns
        </>
      }
    >
      {() => (
        <div class="chooser">
          <p class="buttons">
            <button type="button" onClick={() => set({ cols: schema.cols.fallback })}>
              Default columns
            </button>
            <button type="button" onClick={() => choose(all.map((c) => c.id))}>
              All
            </button>
          </p>
          {groups.map((group) => {
            const own = all.filter((c) => c.group === group);
            return (
              own.length > 0 && (
                <fieldset key={group}>
                  <legend>{group}</legend>
                  {own.map((c) => (
                    <label key={c.id}>
                      <input
                        type="checkbox"
                        checked={state.cols.includes(c.id) || c.id === "model"}
                        disabled={c.id === "model"}
                        data-testid={"column-" + c.id}
                        onChange={() => choose(toggled(state.cols, c.id))}
                      />
                      <span>{c.title}</span>
                    </label>
                  ))}
                </fieldset>
              )
            );
          })}
        </div>
      )}
    </Popover>
  );
}
