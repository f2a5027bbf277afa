// Which colours: the system's choice, or one of ours, kept by the browser. The colours themselves are in
// style/theme.css.
import { signal } from "@preact/signals";

export const themes = ["auto", "light", "dark", "contrast"] as const;
export type Theme = (typeof themes)[number];

const key = "moecap-theme";

export function storedTheme(): Theme {
  try {
    return themes.find((t) => t === localStorage.getItem(key)) ?? "auto";
  } catch {
    return "auto"; // storage may be forbidden
  }
}

export function applyTheme(theme: Theme): void {
  if (theme === "auto") document.documentElement.removeAttribute("data-theme");
  else document.documentElement.dataset.theme = theme;
}

export const theme = signal<Theme>(storedTheme());

export function setTheme(next: Theme): void {
  theme.value = next;
  applyTheme(next);
  try {
    localStorage.setItem(key, next);
  } catch {
    /* it lasts as long as the page */
  }
}
