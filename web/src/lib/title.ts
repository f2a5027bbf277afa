// The title of the tab: what is shown, then the program, so that a history of tabs can be read.
export function setTitle(what: string): void {
  document.title = `${what} · moecap`;
}
