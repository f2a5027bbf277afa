// The search line: terms parted by ";", any of which may match; a term is a regular expression without regard to
// case (pattern.ts). One that is none (an open bracket while typing) is searched as plain text.
import { compilePattern } from "./pattern.ts";

export interface Search {
  matches(text: string): boolean;
  plain: string[];
}

export function parseSearch(line: string): Search {
  const terms = line
    .split(";")
    .map((t) => t.trim())
    .filter(Boolean);
  const plain: string[] = [];
  const tests = terms.map((term) => {
    const pattern = compilePattern(term);
    if (pattern) return pattern;
    plain.push(term);
    const low = term.toLowerCase();
    return (text: string) => text.toLowerCase().includes(low);
  });
  return { matches: (text) => tests.length === 0 || tests.some((t) => t(text)), plain };
}
