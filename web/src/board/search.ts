// The search line: terms parted by ";", any of which may match; a term is a regular expression without regard to
// case. One that is none (an open bracket while typing) is searched as plain text; so is one that may take years
// ("(a+)+$"), because the line is in the address and others send addresses.
export interface Search {
  matches(text: string): boolean;
  plain: string[];
}

const quantifiersMax = 4;

/** A repeated group, or many repeats: the engine tries every way to part the text among them. */
function isEndless(term: string): boolean {
  const bare = term.replace(/\\./g, "_").replace(/\[[^\]]*\]/g, "_");
  return /\)[*+{]/.test(bare) || (bare.match(/[*+]|\{\d/g) ?? []).length > quantifiersMax;
}

export function parseSearch(line: string): Search {
  const terms = line
    .split(";")
    .map((t) => t.trim())
    .filter(Boolean);
  const plain: string[] = [];
  const tests = terms.map((term) => {
    try {
      if (isEndless(term)) throw new RangeError(term);
      const pattern = new RegExp(term, "i");
      return (text: string) => pattern.test(text);
    } catch {
      plain.push(term);
      const low = term.toLowerCase();
      return (text: string) => text.toLowerCase().includes(low);
    }
  });
  return { matches: (text) => tests.length === 0 || tests.some((t) => t(text)), plain };
}
