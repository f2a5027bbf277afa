// One field of a form: its name, a control, a hint, and beside it what is wrong with it.
import type { ComponentChildren } from "preact";
import { Icon } from "./icon.tsx";

interface Frame {
  name: string;
  title: string;
  hint?: ComponentChildren;
  fault?: string;
  wide?: boolean;
}

/** What ties a control to its title, hint and fault. */
export function controlProps({ name, hint, fault }: Pick<Frame, "name" | "hint" | "fault">) {
  const about = [hint ? `hint-${name}` : "", fault ? `fault-${name}` : ""].filter(Boolean).join(" ");
  return {
    id: `field-${name}`,
    name,
    "aria-invalid": fault ? true : undefined,
    "aria-describedby": about || undefined,
  };
}

export function Labelled({ name, title, hint, fault, wide, children }: Frame & { children: ComponentChildren }) {
  return (
    <div class={"field" + (wide ? " whole" : "") + (fault ? " faulty" : "")}>
      <label for={`field-${name}`}>{title}</label>
      {children}
      {hint && (
        <small id={`hint-${name}`} class="soft">
          {hint}
        </small>
      )}
      <Fault name={name} text={fault} />
    </div>
  );
}

export function Fault({ name, text }: { name: string; text?: string }) {
  return text ? (
    <small id={`fault-${name}`} class="fault" data-testid={`fault-${name}`}>
      <Icon name="warning" />
      <span>{text}</span>
    </small>
  ) : null;
}

interface Text extends Frame {
  value: string;
  onInput: (text: string) => void;
  placeholder?: string;
  numeric?: boolean;
  suggestions?: string[];
  type?: "text" | "url";
  autocomplete?: "off" | "nickname";
}

export function TextField({
  value,
  onInput,
  placeholder,
  numeric,
  suggestions,
  type = "text",
  autocomplete = "off",
  ...frame
}: Text) {
  const list = suggestions?.length ? `list-${frame.name}` : undefined;
  return (
    <Labelled {...frame}>
      <input
        {...controlProps(frame)}
        type={type}
        value={value}
        placeholder={placeholder}
        list={list}
        inputMode={numeric ? "decimal" : undefined}
        autocomplete={autocomplete}
        spellcheck={false}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {list && (
        <datalist id={list}>
          {suggestions!.map((s) => (
            <option key={s} value={s} />
          ))}
        </datalist>
      )}
    </Labelled>
  );
}

export interface Option {
  value: string;
  title: string;
  group?: string;
}

export function SelectField({
  value,
  onInput,
  options,
  ...frame
}: Frame & { value: string; onInput: (value: string) => void; options: Option[] }) {
  const groups = [...new Set(options.map((o) => o.group ?? ""))];
  const items = (group: string) =>
    options
      .filter((o) => (o.group ?? "") === group)
      .map((o) => (
        <option key={o.value} value={o.value} selected={o.value === value}>
          {o.title}
        </option>
      ));
  return (
    <Labelled {...frame}>
      <select {...controlProps(frame)} value={value} onChange={(event) => onInput(event.currentTarget.value)}>
        {groups.map((g) =>
          g ? (
            <optgroup key={g} label={g}>
              {items(g)}
            </optgroup>
          ) : (
            items(g)
          ),
        )}
      </select>
    </Labelled>
  );
}
