// The types against the document that they are made from, and against those that are written by hand.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Ensured, Membership, Problem, User, openapi } from "rollcall-client";

type Schemas = openapi.components["schemas"];

const folder = fileURLToPath(new URL("..", import.meta.url));

test("openapi.ts is what docs/openapi.json makes of it", async () => {
  const { scripts } = JSON.parse(await readFile(`${folder}package.json`, "utf8")) as { scripts: { openapi: string } };
  const [program = "", ...all] = scripts.openapi.split(" ");
  // Without a file, the types go to standard output.
  const words = all.slice(0, all.indexOf("--output"));
  const { stdout } = await promisify(execFile)(`${folder}node_modules/.bin/${program}`, words, {
    cwd: folder,
    maxBuffer: 10_000_000,
  });
  const written = await readFile(`${folder}src/openapi.ts`, "utf8");
  assert.ok(written.trim() === stdout.trim(), "it is another one: run `npm run openapi` in clients/typescript");
});

test("the types that are written by hand say nothing else than the document", () => {
  // Checked by the compiler. Of an organization the document does not promise the name, which every answer has.
  const user = (given: Schemas["User"]): User => given;
  const back = (given: User): Schemas["User"] => given;
  const membership = (given: Schemas["Membership"]): Membership => given;
  const problem = (given: Omit<Schemas["Problem"], "clerk_error">): Problem => given;
  const ensured = (given: Omit<Schemas["Ensured"], "organization">): Omit<Ensured, "organization"> => given;
  assert.equal([user, back, membership, problem, ensured].length, 5);
});
