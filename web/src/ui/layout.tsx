// The frame around every view: name, where one can go, colours, the banner.
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { path } from "../lib/router.ts";
import { setTitle } from "../lib/title.ts";
import { setTheme, theme, themes } from "../lib/theme.ts";
import { AwayBanner } from "./banner.tsx";
import { Icon } from "./icon.tsx";
import { TipLayer } from "./tip.tsx";

const places = [
  ["/", "Board"],
  ["/submit", "Submit"],
  ["/queue", "Queue"],
  ["/nodes", "Nodes"],
  ["/estimate", "Estimate"],
] as const;
const themeNames = { auto: "System", light: "Light", dark: "Dark", contrast: "High contrast" };

export function Layout({ title, wide, children }: { title: string; wide: boolean; children: ComponentChildren }) {
  const main = useRef<HTMLElement>(null);
  const view = path.value;
  const first = useRef(true);

  useEffect(() => {
    setTitle(title);
  }, [title]);
  // After a change of view the keyboard is at its start, and a screen reader says its title.
  useEffect(() => {
    if (first.current) first.current = false;
    else main.current!.focus({ preventScroll: true });
  }, [view]);

  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          main.current!.focus();
        }}
      >
        Skip to the content
      </a>
      <header class="top">
        <a class="name" href="/">
          <Logo />
          moecap
        </a>
        <nav aria-label="Views">
          {places.map(([to, name]) => (
            <a key={to} href={to} aria-current={isAt(view, to) ? "page" : undefined}>
              {name}
            </a>
          ))}
        </nav>
        <ThemeSwitch />
      </header>
      <AwayBanner />
      <main id="main" ref={main} class={wide ? "wide" : ""} tabIndex={-1} aria-label={title}>
        {children}
      </main>
      <footer class="about soft">
        <p>
          <b>moecap {MOECAP_VERSION}</b>, an open leaderboard for sparse mixture-of-experts language models: cost,
          accuracy and performance of the same run.
        </p>
        <p>
          <a href="/api/v1/openapi.json">API</a> ·{" "}
          <a href="https://arxiv.org/abs/2412.07067" rel="noreferrer">
            Method (MoE-CAP)
          </a>{" "}
          <span class="wide-only">
            · docs/page.md and docs/metrics.md of the source explain this page and its figures
          </span>
        </p>
      </footer>
      <TipLayer />
    </>
  );
}

function isAt(view: string, to: string): boolean {
  return view === to || (to === "/" && /^\/(runs|evaluations|tasks|models)\//.test(view));
}

function Logo() {
  return (
    <svg class="logo" viewBox="0 0 16 16" width="20" height="20" aria-hidden="true">
      <rect width="16" height="16" rx="3.5" />
      <path d="M3.2 12.4V8.2h2v4.2zM7 12.4V3.6h2v8.8zM10.8 12.4V6h2v6.4z" />
    </svg>
  );
}

function ThemeSwitch() {
  return (
    <label class="theme-switch">
      <Icon name="theme" />
      <span class="away-from-eyes">Colours</span>
      <select
        value={theme.value}
        data-testid="theme"
        onChange={(event) => setTheme(event.currentTarget.value as typeof theme.value)}
      >
        {themes.map((t) => (
          <option key={t} value={t}>
            {themeNames[t]}
          </option>
        ))}
      </select>
    </label>
  );
}
