// What a user can do in ../react: change the profile, read the members, delete the account. The server answers as Rollcall
// does, and keeps one record.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { SignedIn } from "./clerk.ts";
import { browser, show, until, type Page } from "./page.tsx";

const FRESH = "a-fresh-token";
const STALE = "a-stale-token";
const CLERK_ERROR = {
  type: "forbidden",
  reason: "reverification-error",
  metadata: { reverification: { level: "first_factor", afterMinutes: 10 } },
};

let record: Record<string, unknown> = {};
let version = 0;
let isDown = false;
/** What has arrived, without the calls of the provider. */
let arrived: string[] = [];

const tag = () => `"${version}"`;

function problem(response: ServerResponse, status: number, code: string, more: object = {}): void {
  const body = { type: "urn:x", title: "A title", status, detail: `What to do about ${code}.`, code, request_id: "1" };
  response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify({ ...body, ...more }));
}

function answer(request: IncomingMessage, body: string, response: ServerResponse): void {
  const url = new URL(request.url ?? "", "http://x");
  const line = `${request.method} ${url.pathname}`;
  if (url.pathname !== "/profiles/ensure") arrived.push(line);
  const json = (status: number, value: object) =>
    response.writeHead(status, { "content-type": "application/json", etag: tag() }).end(JSON.stringify(value));
  if (isDown) return problem(response, 503, "unavailable");
  switch (line) {
    case "GET /me/profile":
      return void json(200, record);
    case "PATCH /me/profile":
      if (request.headers["if-match"] !== tag()) return problem(response, 412, "precondition_failed");
      for (const [name, value] of Object.entries(JSON.parse(body) as object)) record[name] = value ?? undefined;
      version += 1;
      return void json(200, record);
    case "GET /organizations/org_1/members": {
      const page = Number(url.searchParams.get("cursor") ?? 1);
      const user = { id: `id-${page}`, clerk_user_id: `user_${page}`, name: `Member ${page}` };
      return void json(200, { members: [{ user, role: "org:member" }], next_cursor: page < 3 ? String(page + 1) : null });
    }
    case "DELETE /me":
      if (request.headers.authorization === `Bearer ${FRESH}`) return void json(202, { outcome: "accepted" });
      return problem(response, 403, "reverification_required", { clerk_error: CLERK_ERROR });
    default:
      return problem(response, 404, "user_not_synced");
  }
}

const server = createServer(async (request, response) => {
  let body = "";
  for await (const part of request.setEncoding("utf8")) body += part;
  answer(request, body, response);
});

before(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});

beforeEach(() => {
  record = { user_id: "id-1", level: 1, bio: "Hello", city: "London" };
  version = 1;
  isDown = false;
  arrived = [];
});

after(() => {
  server.close();
  server.closeAllConnections();
});

const shows = (page: Page, text: string) =>
  until(() => page.text().includes(text), () => `the page shows "${page.text()}", not "${text}"`);

function field(page: Page, name: string): HTMLInputElement {
  const found = page.root.querySelector<HTMLInputElement>(`input[name="${name}"]`);
  assert.ok(found, name);
  return found;
}

const filled = (page: Page) =>
  until(() => page.root.querySelector("input")?.value === "Hello", () => `the form stays empty: ${page.text()}`);

/** As a user does it, which React only sees if the value is set past it. */
function type(page: Page, name: string, value: string): void {
  const input = field(page, name);
  let prototype: object = Object.getPrototypeOf(input);
  while (!Object.hasOwn(prototype, "value")) prototype = Object.getPrototypeOf(prototype);
  Object.getOwnPropertyDescriptor(prototype, "value")?.set?.call(input, value);
  input.dispatchEvent(new window.Event("input", { bubbles: true }));
}

function button(page: Page, text: string): HTMLButtonElement | undefined {
  return [...page.root.querySelectorAll("button")].find((one) => one.textContent === text);
}

function press(page: Page, text: string): void {
  const found = button(page, text);
  assert.ok(found && !found.disabled, `no button "${text}" can be pressed`);
  found.click();
}

test("a profile is shown, changed and saved, and nothing else of the record is touched", async (t) => {
  const { ProfileForm } = await import("../react/profile-form.tsx");
  const page = await show(t, new SignedIn([FRESH]), <ProfileForm />);
  await filled(page);
  type(page, "bio", "Hello again");
  press(page, "Save");
  await shows(page, "Saved.");
  assert.deepEqual(record, { user_id: "id-1", level: 1, bio: "Hello again", city: "London" });
  // The answer's tag is that of the next change.
  type(page, "city", "");
  press(page, "Save");
  await until(() => version === 3, () => `nothing was saved: ${page.text()}`);
  assert.equal(record["city"], undefined);
});

test("what was changed elsewhere is brought together, and nothing of it is lost", async (t) => {
  const { ProfileForm } = await import("../react/profile-form.tsx");
  const page = await show(t, new SignedIn([FRESH]), <ProfileForm />);
  await filled(page);
  type(page, "bio", "Mine");
  record["city"] = "Kyiv";
  version = 8;
  press(page, "Save");
  await shows(page, "Your profile was changed elsewhere. Check it, and save again.");
  assert.deepEqual([field(page, "bio").value, field(page, "city").value], ["Mine", "Kyiv"]);
  assert.equal(record["bio"], "Hello", "nothing is saved unseen");
  press(page, "Save");
  await shows(page, "Saved.");
  assert.deepEqual([record["bio"], record["city"]], ["Mine", "Kyiv"]);
});

test("of a field that both have changed the user sees both values", async (t) => {
  const { ProfileForm } = await import("../react/profile-form.tsx");
  const page = await show(t, new SignedIn([FRESH]), <ProfileForm />);
  await filled(page);
  type(page, "bio", "Mine");
  record["bio"] = "Theirs";
  version = 8;
  press(page, "Save");
  await shows(page, 'changed elsewhere: bio is now "Theirs"');
  assert.equal(field(page, "bio").value, "Mine");
  press(page, "Save");
  await shows(page, "Saved.");
  assert.equal(record["bio"], "Mine");
});

test("a change that cannot be saved stays in the form, with the reason", async (t) => {
  const { ProfileForm } = await import("../react/profile-form.tsx");
  const page = await show(t, new SignedIn([FRESH]), <ProfileForm />);
  await filled(page);
  type(page, "bio", "Mine");
  isDown = true;
  press(page, "Save");
  await shows(page, "What to do about unavailable.");
  isDown = false;
  press(page, "Save");
  await shows(page, "Saved.");
  assert.equal(record["bio"], "Mine");
});

test("members are shown page by page, and a page that failed can be asked for again", async (t) => {
  const { MemberList } = await import("../react/member-list.tsx");
  const page = await show(t, new SignedIn([FRESH]), <MemberList organizationId="org_1" />);
  await shows(page, "Member 1");
  press(page, "Load more");
  await shows(page, "Member 2");
  isDown = true;
  press(page, "Load more");
  await shows(page, "What to do about unavailable.");
  isDown = false;
  press(page, "Load more");
  await shows(page, "Member 3");
  const names = [...page.root.querySelectorAll("li")].map((one) => one.textContent?.trim().split("  ")[0]);
  assert.deepEqual(names, ["Member 1", "Member 2", "Member 3"]);
  assert.equal(button(page, "Load more"), undefined, "there is no more");
  assert.doesNotMatch(page.text(), /unavailable/);
});

/** Somebody whose tokens know of a verification as soon as there was one, and a new one was asked for. */
function stale(verifies: boolean): SignedIn & { levels: (string | undefined)[] } {
  let isVerified = false;
  const clerk = new SignedIn(async (options) => (isVerified && options?.skipCache ? FRESH : STALE));
  const levels: (string | undefined)[] = [];
  clerk.verifies = ({ level }) => {
    levels.push(level);
    isVerified = verifies;
    return verifies;
  };
  return Object.assign(clerk, { levels });
}

test("an account is deleted after Clerk's dialog, and the user is signed out", async (t) => {
  const { DeleteAccount } = await import("../react/delete-account.tsx");
  window.confirm = () => true;
  const clerk = stale(true);
  const page = await show(t, clerk, <DeleteAccount />);
  await shows(page, "Delete my account");
  press(page, "Delete my account");
  await until(() => clerk.signedOut > 0, () => `nobody was signed out: ${page.text()}`);
  assert.deepEqual(clerk.levels, ["first_factor"]);
  assert.deepEqual(arrived, ["DELETE /me", "DELETE /me"]);
});

test("whoever closes the dialog keeps the account, and so does who does not mean it", async (t) => {
  const { DeleteAccount } = await import("../react/delete-account.tsx");
  window.confirm = () => false;
  const clerk = stale(false);
  const page = await show(t, clerk, <DeleteAccount />);
  await shows(page, "Delete my account");
  press(page, "Delete my account");
  assert.deepEqual(arrived, []);
  window.confirm = () => true;
  press(page, "Delete my account");
  await shows(page, "Your account was not deleted.");
  assert.deepEqual([arrived, clerk.signedOut], [["DELETE /me"], 0]);
});

test("a deletion that is refused for another reason is explained", async (t) => {
  const { DeleteAccount } = await import("../react/delete-account.tsx");
  window.confirm = () => true;
  isDown = true;
  const clerk = new SignedIn([FRESH]);
  const page = await show(t, clerk, <DeleteAccount />);
  await shows(page, "Delete my account");
  press(page, "Delete my account");
  await shows(page, "What to do about unavailable.");
  assert.equal(clerk.signedOut, 0);
});
