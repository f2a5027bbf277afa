// Regular expressions that cannot hang the tab. The browser's own engine tries one way after another, and a pattern in
// a shared link can make it try for years. This one walks all ways at once (Thompson's construction), so the time is
// at most the length of the text times the size of the pattern, and the size has a limit. It takes what people write
// in a search line: . [a-z] [^a] \d \w \s \b ^ $ ( ) (?: ) | * + ? {2,3}, without regard to case. Back references and
// look-around need the other kind of engine: such a pattern is not one of ours.

type Step =
  | { is: "one"; fits: (c: string) => boolean; next: number }
  | { is: "fork"; next: number[] }
  | { is: "at"; holds: (text: string, at: number) => boolean; next: number }
  | { is: "end" };

type Node =
  | { is: "one"; fits: (c: string) => boolean }
  | { is: "at"; holds: (text: string, at: number) => boolean }
  | { is: "all"; parts: Node[] }
  | { is: "any"; parts: Node[] }
  | { is: "many"; part: Node; least: number; most: number };

const stepsMax = 200;
const repeatsMax = 50;

/** Whether the pattern is found in a text; null when it is not a pattern of the kind above, or too large. */
export function compilePattern(source: string): ((text: string) => boolean) | null {
  try {
    const steps: Step[] = [{ is: "end" }];
    const start = build(steps, parse(source), 0);
    return (text) => isFound(steps, start, text);
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

function isFound(steps: readonly Step[], start: number, text: string): boolean {
  let now = new Set<number>();
  for (let at = 0; at <= text.length; at++) {
    enter(steps, start, text, at, now); // it may begin anywhere
    if (now.has(0)) return true;
    const after = new Set<number>();
    for (const i of now) {
      const step = steps[i]!;
      if (step.is === "one" && at < text.length && step.fits(text[at]!)) enter(steps, step.next, text, at + 1, after);
    }
    now = after;
    if (now.has(0)) return true;
  }
  return false;
}

/** Adds a step and what follows it without taking a character. */
function enter(steps: readonly Step[], first: number, text: string, at: number, into: Set<number>): void {
  const waiting = [first];
  for (let i = waiting.pop(); i !== undefined; i = waiting.pop()) {
    if (into.has(i)) continue;
    into.add(i);
    const step = steps[i]!;
    if (step.is === "fork") waiting.push(...step.next);
    if (step.is === "at" && step.holds(text, at)) waiting.push(step.next);
  }
}

// ---- from the tree to steps, from the end to the beginning

function build(steps: Step[], node: Node, next: number): number {
  const add = (step: Step): number => {
    if (steps.length >= stepsMax) throw new SyntaxError("too large");
    return steps.push(step) - 1;
  };
  switch (node.is) {
    case "one":
      return add({ is: "one", fits: node.fits, next });
    case "at":
      return add({ is: "at", holds: node.holds, next });
    case "all":
      return node.parts.reduceRight((after, part) => build(steps, part, after), next);
    case "any":
      return add({ is: "fork", next: node.parts.map((part) => build(steps, part, next)) });
    case "many": {
      let after = next,
        left = node.least;
      if (node.most === Infinity) {
        const loop: Step & { is: "fork" } = { is: "fork", next: [next] };
        after = add(loop);
        loop.next.push(build(steps, node.part, after));
        if (left > 0) after = loop.next[1]!; // the loop's own part is the last of those that must be there
        left -= 1;
      } else
        for (let i = node.least; i < node.most; i++)
          after = add({ is: "fork", next: [next, build(steps, node.part, after)] });
      for (; left > 0; left--) after = build(steps, node.part, after);
      return after;
    }
  }
}

// ---- from the text to the tree

const isWord = (c: string | undefined): boolean => c !== undefined && /\w/.test(c);
const classes: Record<string, (c: string) => boolean> = {
  d: (c) => /\d/.test(c),
  D: (c) => /\D/.test(c),
  w: isWord,
  W: (c) => !isWord(c),
  s: (c) => /\s/.test(c),
  S: (c) => /\S/.test(c),
};
const isBoundary = (text: string, at: number): boolean => isWord(text[at - 1]) !== isWord(text[at]);
const places: Record<string, (text: string, at: number) => boolean> = {
  "^": (_, at) => at === 0,
  $: (text, at) => at === text.length,
  "\\b": isBoundary,
  "\\B": (text, at) => !isBoundary(text, at),
};
const same = (wanted: string) => {
  const low = wanted.toLowerCase();
  return (c: string): boolean => c.toLowerCase() === low;
};

function parse(source: string): Node {
  let at = 0;
  const fail = (): never => {
    throw new SyntaxError(source);
  };
  const take = (text: string): boolean => source.startsWith(text, at) && ((at += text.length), true);

  function choice(): Node {
    const parts = [sequence()];
    while (take("|")) parts.push(sequence());
    return parts.length === 1 ? parts[0]! : { is: "any", parts };
  }

  function sequence(): Node {
    const parts: Node[] = [];
    while (at < source.length && source[at] !== "|" && source[at] !== ")") parts.push(repeated(atom()));
    return { is: "all", parts };
  }

  function repeated(part: Node): Node {
    const sign = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})/.exec(source.slice(at));
    if (!sign) return part;
    at += sign[0].length;
    take("?"); // the shortest first: the answer is the same
    if (part.is === "at" || /^[*+?]/.test(source.slice(at))) fail();
    const [whole, low = "0", comma, high] = sign;
    const least = whole === "+" ? 1 : Number(low);
    const most = whole === "?" ? 1 : /^[*+]/.test(whole) ? Infinity : high ? Number(high) : comma ? Infinity : least;
    if (least > most || least > repeatsMax || (most > repeatsMax && most !== Infinity)) fail();
    return { is: "many", part, least, most };
  }

  function atom(): Node {
    if (take("(")) {
      if (source[at] === "?" && !take("?:")) fail();
      const inside = choice();
      return take(")") ? inside : fail();
    }
    if (take("[")) return { is: "one", fits: set() };
    if (take(".")) return { is: "one", fits: () => true };
    for (const [sign, holds] of Object.entries(places)) if (take(sign)) return { is: "at", holds };
    if (/[*+?]/.test(source[at]!) || /^\{\d+,?\d*\}/.test(source.slice(at))) fail();
    return { is: "one", fits: one() };
  }

  /** A character, or a class of them that a backslash introduces. */
  function one(): (c: string) => boolean {
    if (!take("\\")) return same(source[at++]!);
    const c = source[at++] ?? fail();
    return classes[c] ?? (/[a-z0-9]/i.test(c) ? fail() : same(c));
  }

  function set(): (c: string) => boolean {
    const not = take("^");
    const fits: ((c: string) => boolean)[] = [];
    while (at < source.length && source[at] !== "]") {
      const first = source[at]!;
      const member = one();
      const isRange = first !== "\\" && source[at] === "-" && source[at + 1] !== undefined && source[at + 1] !== "]";
      if (!isRange) {
        fits.push(member);
        continue;
      }
      const last = source[at + 1]!;
      if (last === "\\" || first > last) fail();
      at += 2;
      const inside = (c: string) => first <= c && c <= last;
      fits.push((c) => inside(c.toLowerCase()) || inside(c.toUpperCase()));
    }
    if (!take("]")) fail();
    return (c) => fits.some((f) => f(c)) !== not;
  }

  const tree = choice();
  return at === source.length ? tree : fail();
}
