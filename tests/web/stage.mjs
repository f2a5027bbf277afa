// A browser for the tests: one Chromium for all, a separate context for every test, so that nothing that one
// test stored is seen by the next. A page is listened to from its first byte: an error in its console, an exception
// nobody caught or a breach of the content security policy fails the test that opened it.
import { mkdir } from "node:fs/promises";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import test from "node:test";
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { gatewayUrl } from "./suite.mjs";

const executablePath = process.env.MOECAP_CHROMIUM ?? "/usr/bin/chromium";
const args = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];
const axeSource = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;

/** The one browser; playwright gives it a new, empty profile. */
export async function launch() {
  browser ??= await chromium.launch({ executablePath, args, headless: true });
  return browser;
}

export async function quit() {
  await browser?.close();
  browser = undefined;
}

export const themes = {
  dark: { colorScheme: "dark" },
  light: { colorScheme: "light" },
  "high contrast": { colorScheme: "dark", contrast: "more" },
};

/** What a test acts on: pages of one context, and everything they complained about. */
export class Stage {
  constructor(context, base) {
    this.context = context;
    this.base = base;
    this.complaints = [];
    this.allowed = [];
  }

  /** Opens an address of the page ("/board?q=x") in a new tab. */
  async open(path = "/") {
    const page = await this.context.newPage();
    this.#listen(page);
    page.setDefaultTimeout(15000);
    await page.goto(this.base + path);
    await page.locator("main").waitFor();
    return page;
  }

  /** Complaints that this test provokes on purpose, as a pattern. */
  allow(pattern) {
    this.allowed.push(pattern);
  }

  #listen(page) {
    const complain = (text) => this.complaints.push(`${page.url().slice(this.base.length)}: ${text}`);
    page.on("console", (message) => message.type() === "error" && !isRefusal(message) && complain(message.text()));
    page.on("pageerror", (error) => complain(`exception: ${error.stack ?? error.message}`));
  }

  assertQuiet() {
    const left = this.complaints.filter((text) => !this.allowed.some((pattern) => pattern.test(text)));
    assert.deepEqual(left, [], "the page complained");
  }

  async keepPictures(name) {
    const folder = process.env.MOECAP_PICTURES;
    if (!folder) return;
    await mkdir(folder, { recursive: true });
    for (const [i, page] of this.context.pages().entries()) {
      const path = `${folder}/${name.replace(/\W+/g, "-").slice(0, 80)}-${i}.png`;
      await page.screenshot({ path }).catch(() => {});
    }
  }
}

// The browser reports every refused request; a form that asks the server's opinion provokes them.
const isRefusal = (message) =>
  /status of 4\d\d/.test(message.text()) && message.location().url.endsWith("/api/v1/evaluations");

export async function newStage({ width = 1280, height = 800, theme = "dark", ...more } = {}) {
  const context = await (await launch()).newContext({ viewport: { width, height }, ...themes[theme], ...more });
  return new Stage(context, await gatewayUrl());
}

/** A test: `body` gets a stage; afterwards no page may have complained. */
export function scene(sentence, body, options = {}) {
  test(sentence, { timeout: 90000 }, async () => {
    const stage = await newStage(options);
    try {
      await body(stage);
      stage.assertQuiet();
    } catch (error) {
      await stage.keepPictures(sentence);
      if (stage.complaints.length) console.error(`complaints: ${stage.complaints.join("\n")}`);
      throw error;
    } finally {
      await stage.context.close();
    }
  });
}

/** Findings of axe that are serious or critical, as lines to read. */
export async function seriousFindings(page) {
  // Through the debugger, which the content security policy does not concern; once for all themes of a page.
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, {
      resultTypes: ["violations"],
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"],
    }),
  );
  return violations
    .filter((v) => v.impact === "serious" || v.impact === "critical")
    .flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.target.join(" ")}: ${n.failureSummary}`));
}

/** Bounds of the whole page beyond the window: above 0 it scrolls sideways. */
export async function sidewaysScroll(page) {
  return page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
}

/** Tables that scroll sideways in a frame of their own, by their labels; the board's is meant to. */
export async function cutTables(page) {
  return page.evaluate(() =>
    [...document.querySelectorAll(".scroll")]
      .filter((frame) => frame.scrollWidth > frame.clientWidth + 1)
      .map((frame) => `${frame.getAttribute("aria-label")}: ${frame.scrollWidth} px of ${frame.clientWidth}`),
  );
}

/** Presses Tab until the element has the focus, as somebody without a mouse does. */
export async function tabTo(page, selector, presses = 80) {
  for (let i = 0; i < presses; i++) {
    if (await page.evaluate((s) => document.activeElement?.matches(s), selector)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`${selector} is not reached by ${presses} presses of Tab`);
}

/** Cumulative layout shift since the load, by the browser's own account. */
export async function layoutShift(page) {
  return page.evaluate(
    () =>
      new Promise((resolve) => {
        let sum = 0;
        const observer = new PerformanceObserver((list) => {
          for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
        });
        observer.observe({ type: "layout-shift", buffered: true });
        setTimeout(() => resolve(sum), 100);
      }),
  );
}

export { assert };
