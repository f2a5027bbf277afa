// Whether the screen is a narrow one; the width is that of the style sheets.
import { signal } from "@preact/signals";

const query = typeof matchMedia === "undefined" ? undefined : matchMedia("(max-width: 40rem)");

export const narrow = signal(query?.matches ?? false);
query?.addEventListener("change", () => {
  narrow.value = query.matches;
});
