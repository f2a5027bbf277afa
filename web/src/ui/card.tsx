// A box of facts: names and values under a title. What is unknown says so, in soft text.
import "../style/cards.css";
import type { ComponentChildren } from "preact";

export type Fact = [name: string, value: ComponentChildren];

export const or = (value: string | number | undefined, otherwise: string): ComponentChildren =>
  value === undefined || value === "" ? <span class="soft">{otherwise}</span> : String(value);

export const code = (text: string | undefined): ComponentChildren =>
  text ? <code>{text}</code> : <span class="soft">unknown</span>;

export function Card({ title, facts, children }: { title: string; facts: Fact[]; children?: ComponentChildren }) {
  return (
    <section class="card">
      <h2>{title}</h2>
      <dl class="facts">
        {facts.map(([name, value]) => (
          <>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </>
        ))}
      </dl>
      {children}
    </section>
  );
}
