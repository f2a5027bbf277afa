// All tests of the page, in one process and one browser.
import { after } from "node:test";
import { quit } from "./stage.mjs";

await import("./board.test.mjs");
await import("./views.test.mjs");

after(quit);
