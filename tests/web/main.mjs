// All tests of the page, in one process and one browser.
import { after } from "node:test";
import { quit } from "./stage.mjs";

for (const part of ["board", "submit", "queue", "run", "nodes", "estimate", "about", "texts", "views"])
  await import(`./${part}.test.mjs`);

after(quit);
