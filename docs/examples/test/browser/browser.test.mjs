// The React example, ../../react/main.tsx as it is, in Chromium, against the local stack on another origin.

import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium } from "playwright-core";
import { createRollcall } from "../../../../clients/typescript/dist/index.js";
import { clerk, start, token } from "../../../../clients/typescript/dist-test/e2e/stack.js";

const folder = fileURLToPath(new URL(".", import.meta.url));
const MEMBERS = 26;
const HTML = `<!doctype html>
<link rel="icon" href="data:,">
<div id="root"></div>
<script type="module" src="/main.js"></script>`;

/** Debian's, or the one in CHROMIUM. */
function executable() {
  const all = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
  const found = all.find((path) => path && existsSync(path));
  if (!found) throw new Error("no Chromium: install the package chromium, or put the path of one into CHROMIUM");
  return found;
}

let stack, server, origin, browser, page, ada, organization, script;
/** What the page or the browser complained about. */
const complaints = [];

/** Gives main.tsx the Clerk of this folder, and everybody else the real one. */
const ownClerk = {
  name: "own-clerk",
  setup: ({ onResolve }) =>
    onResolve({ filter: /^@clerk\/react$/ }, ({ importer }) =>
      importer.endsWith("/react/main.tsx") ? { path: `${folder}clerk.tsx` } : undefined,
    ),
};

async function bundle(api) {
  const variables = {
    VITE_ROLLCALL_API: api,
    VITE_CLERK_PUBLISHABLE_KEY: `pk_test_${btoa("clerk.example.com$")}`,
  };
  const { outputFiles } = await build({
    entryPoints: [`${folder}../../react/main.tsx`],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2022",
    jsx: "automatic",
    define: { "import.meta.env": JSON.stringify(variables), "process.env.NODE_ENV": '"development"' },
    plugins: [ownClerk],
    logLevel: "error",
  });
  return outputFiles[0].text;
}

async function user(name) {
  const given = { first_name: name, last_name: "Example", email_address: [`${name}@example.com`] };
  return (await clerk(stack, "POST", "/v1/users", given)).id;
}

const minted = (minutes = 0) =>
  token(stack, ada, { organization_id: organization, claims: { azp: origin, fva: [minutes, -1] } });

/** The same user in another place, such as a second window. */
const elsewhere = () => createRollcall({ api: stack.api, getToken: () => minted(), timeoutMs: 15_000 });

before(async () => {
  server = createServer((request, response) => {
    const isScript = request.url === "/main.js";
    response.writeHead(200, { "content-type": isScript ? "text/javascript" : "text/html; charset=utf-8" });
    response.end(isScript ? script : HTML);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  origin = `http://127.0.0.1:${server.address().port}`;
  stack = await start(0, {
    ACCOUNT_DELETION: "on",
    ALLOWED_ORIGINS: origin,
    PROFILE_DEFAULTS: '{"level":3}',
    PROFILE_WRITABLE: '["bio","city"]',
  });
  script = await bundle(stack.api);
  ada = await user("Ada");
  organization = (await clerk(stack, "POST", "/v1/organizations", { name: "Acme", created_by: ada })).id;
  for (let number = 1; number < MEMBERS; number++) {
    const membership = { user_id: await user(`Member${number}`), role: "org:member" };
    await clerk(stack, "POST", `/v1/organizations/${organization}/memberships`, membership);
  }
  await clerk(stack, "POST", "/_emulator/settle");
  // A sandbox needs a user of its own.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  browser = await chromium.launch({ executablePath: executable(), args });
  page = await browser.newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
  page.on("dialog", (dialog) => dialog.accept());
  await page.exposeFunction("mint", minted);
  const given = { organization, minutes: 30, verifies: false, dialogs: 0 };
  await page.addInitScript((given) => Object.assign(window, given), given);
  await page.goto(origin);
});

after(async () => {
  await browser?.close();
  await stack?.stop();
  server?.close();
  server?.closeAllConnections();
});

const field = (name) => page.locator(`input[name="${name}"]`);
const save = () => page.getByRole("button", { name: "Save" }).click();
const says = (text) => page.getByText(text).first().waitFor();

test("the page knows who is there", async () => {
  await says("Welcome, Ada Example! You are at level 3 of Acme.");
  assert.deepEqual(complaints.splice(0), []);
});

test("a browser shows the tag, and a 304, to the page", async () => {
  const statuses = await page.evaluate(async () => {
    const first = await window.rollcall.me();
    const again = await window.rollcall.me({ etag: first.etag });
    return [first.status, typeof first.etag, again.status];
  });
  assert.deepEqual(statuses, [200, "string", 304]);
  assert.deepEqual(complaints.splice(0), []);
});

test("a profile is changed in the browser", async () => {
  await field("bio").fill("Hello");
  await save();
  await says("Saved.");
  const stored = await elsewhere().profile.get();
  assert.deepEqual([stored.value.bio, stored.value.level], ["Hello", 3]);
  assert.deepEqual(complaints.splice(0), []);
});

test("two windows lose nothing of each other", async () => {
  await field("bio").fill("Mine");
  assert.ok((await elsewhere().profile.patch({ city: "Kyiv", bio: "Theirs" })).ok);
  await save();
  await says('Your profile was changed elsewhere: bio is now "Theirs". Check it, and save again.');
  assert.deepEqual([await field("bio").inputValue(), await field("city").inputValue()], ["Mine", "Kyiv"]);
  await save();
  await says("Saved.");
  const stored = await elsewhere().profile.get();
  assert.deepEqual([stored.value.bio, stored.value.city], ["Mine", "Kyiv"]);
  // The browser's own line about the 412, and nothing else.
  assert.equal(complaints.length, 1, complaints.join("\n"));
  assert.match(complaints.splice(0)[0], /status of 412/);
});

test("members come page by page", async () => {
  const rows = page.getByRole("listitem");
  await rows.nth(19).waitFor();
  assert.equal(await rows.count(), 20);
  const more = page.getByRole("button", { name: "Load more" });
  await more.click();
  await rows.nth(MEMBERS - 1).waitFor();
  const shown = await rows.allTextContents();
  assert.equal(new Set(shown).size, MEMBERS);
  assert.equal(await more.count(), 0);
  assert.deepEqual(complaints.splice(0), []);
});

test("an account is deleted once the user has verified again", async () => {
  const remove = () => page.getByRole("button", { name: "Delete my account" }).click();
  await remove();
  await says("Your account was not deleted.");
  assert.ok((await elsewhere().me()).ok);
  assert.equal(await page.evaluate(() => window.dialogs), 1);

  await page.evaluate(() => (window.verifies = true));
  await remove();
  await says("Sign in to begin.");
  assert.equal(await page.evaluate(() => window.dialogs), 2);
  await clerk(stack, "POST", "/_emulator/settle");
  const gone = await elsewhere().me();
  assert.equal(gone.problem?.code, "user_deleted");
  assert.equal(complaints.length, 2, complaints.join("\n"));
  for (const line of complaints.splice(0)) assert.match(line, /status of 403/);
});
