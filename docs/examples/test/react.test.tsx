// The provider of ../react in a browser's document, with the real provider of Clerk around it and a server that answers as
// Rollcall does.

import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test, type TestContext } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { SignedIn, type Tokens } from "./clerk.ts";
import { browser, show, until, type Page } from "./page.tsx";

const ADA = {
  user: { id: "2d649aef-b94e-5d5a-889a-5ec91f4a5faa", clerk_user_id: "user_1", name: "Ada Example", role: "user" },
  profile: { level: 1 },
  organization: null,
  membership: null,
  membership_profile: null,
  created: [],
  needs_sync: false,
};

type Answer = (response: ServerResponse) => void;

const silence: Answer = () => {};
const answer =
  (status: number, body: object): Answer =>
  (response) =>
    void response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
const problem = (status: number, code: string) =>
  answer(status, { type: "urn:x", title: "A title", status, detail: "What to do.", code, request_id: "1" });

/** What the server answers, call by call; the last answer stays. */
let answers: Answer[] = [];
/** The tokens that have arrived. */
let arrived: string[] = [];

const server = createServer((request, response) => {
  arrived.push(request.headers.authorization ?? "");
  (answers.length > 1 ? answers.shift() : answers[0])?.(response);
});

before(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  browser(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
});

after(() => {
  server.close();
  server.closeAllConnections();
});

/** A page with the provider and a component that shows what it says. */
async function open(t: TestContext, tokens: Tokens, script: Answer[]): Promise<Page> {
  answers = [...script];
  arrived = [];
  const { useCaller } = await import("../react/rollcall.tsx");
  function Shown() {
    const caller = useCaller();
    return <p>{caller === null ? "nothing yet" : caller.ok ? caller.user.name : caller.reason}</p>;
  }
  return show(t, new SignedIn(tokens), <Shown />);
}

async function shows(page: Page, text: string): Promise<void> {
  const seen = () => `the page shows "${page.text()}", not "${text}"; ${arrived.length} calls arrived`;
  await until(() => page.text() === text, seen);
}

// https://github.com/clerk/javascript/issues/2266
test("fault_b4 a token that is null once after sign-in is asked for again", async (t) => {
  // Twice, as StrictMode mounts everything twice.
  const page = await open(t, [null, null, "a-token"], [answer(200, ADA)]);
  await shows(page, "signed_out");
  await shows(page, "Ada Example");
  assert.deepEqual(arrived, ["Bearer a-token"]);
});

test("fault_b4 an answer that comes too late is asked for again", async (t) => {
  const page = await open(t, ["a-token"], [silence, silence, answer(200, ADA)]);
  await shows(page, "timeout");
  await shows(page, "Ada Example");
});

test("fault_b4 so is one of a Rollcall that cannot be reached for a moment", async (t) => {
  const page = await open(t, ["a-token"], [problem(503, "unavailable"), problem(503, "unavailable"), answer(200, ADA)]);
  await shows(page, "refused");
  await shows(page, "Ada Example");
});

test("whoever is turned away is asked for no more, and who is deleted is signed out", async (t) => {
  const page = await open(t, ["a-token"], [problem(403, "user_banned")]);
  await shows(page, "refused");
  const calls = arrived.length;
  await pause(1500);
  assert.equal(arrived.length, calls);
  assert.equal(page.clerk.signedOut, 0);
  page.leave();
  const gone = await open(t, ["a-token"], [problem(410, "user_deleted")]);
  await shows(gone, "nothing yet");
  await until(() => gone.clerk.signedOut > 0, () => "nobody was signed out");
});

test("nobody asks for a page that is gone, or for a session that is over", async (t) => {
  const page = await open(t, [null], [answer(200, ADA)]);
  await shows(page, "signed_out");
  page.clerk.begin("sess_2", ["another-token"]);
  await shows(page, "Ada Example");
  assert.ok(arrived.every((token) => token === "Bearer another-token"), arrived.join());
  page.leave();
  const left = await open(t, [null], [answer(200, ADA)]);
  await shows(left, "signed_out");
  left.leave();
  const asked = left.clerk.asked;
  await pause(1500);
  assert.deepEqual([left.clerk.asked, arrived], [asked, []]);
});
