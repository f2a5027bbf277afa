// What a view shows, as words of a shell, to be copied.
import type { ComponentChildren } from "preact";
import { useRef, useState } from "preact/hooks";

const copiedMs = 2500;

export function Command({ words, children }: { words: string[]; children?: ComponentChildren }) {
  const text = useRef<HTMLElement>(null);
  const [said, say] = useState("");
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(words.join(" "));
      say("Copied");
    } catch {
      // not a secure origin, or not allowed: leave it marked for the keyboard
      getSelection()?.selectAllChildren(text.current!);
      say("Marked: copy it with the keyboard");
    }
    setTimeout(() => say(""), copiedMs);
  };
  return (
    <section class="command" aria-label="Command line">
      <h3>Equivalent command</h3>
      <pre tabIndex={0}>
        <code ref={text} data-testid="command">
          {words.join(" \\\n  ")}
        </code>
      </pre>
      <p class="buttons">
        <button type="button" onClick={copy}>
          Copy
        </button>{" "}
        <span class="soft" role="status">
          {said}
        </span>
      </p>
      {children}
    </section>
  );
}
