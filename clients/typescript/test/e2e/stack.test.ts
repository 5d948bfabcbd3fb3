// The client against all that it talks to in earnest: functions, DynamoDB and Clerk, as `rollcall dev` starts them.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { dueSyncUrl, ensureProfile, syncUrl } from "rollcall-client";
import { clerk, start, token, type Stack } from "./stack.js";

interface Member {
  user: string;
  organization: string;
}

/** Longer than the default, as the binary may be a debug build on a busy machine. */
const timeoutMs = 15_000;

/** Somebody who is in an organization. */
async function member(stack: Stack): Promise<Member> {
  for (const { id } of (await clerk(stack, "GET", "/v1/users")) as { id: string }[]) {
    const path = `/v1/users/${id}/organization_memberships`;
    const { data } = (await clerk(stack, "GET", path)) as { data: { organization: { id: string } }[] };
    if (data[0]) return { user: id, organization: data[0].organization.id };
  }
  throw new Error("no sample user is in an organization");
}

/** A stack for one test, stopped whatever comes. */
async function withStack(work: (stack: Stack) => Promise<void>): Promise<void> {
  const stack = await start(3);
  try {
    await work(stack);
  } finally {
    await stack.stop();
  }
}

let stack: Stack | undefined;
let ada: Member;

before(async () => {
  stack = await start(3);
  ada = await member(stack);
});

after(async () => {
  await stack?.stop();
});

/** The stack that most tests share. */
function shared(): Stack {
  assert.ok(stack);
  return stack;
}

test("a user has an id and a profile, the same ones every time", async () => {
  const getToken = () => token(shared(), ada.user);
  const result = await ensureProfile({ api: shared().api, getToken, timeoutMs });
  assert.ok(result.ok, JSON.stringify(result));
  assert.match(result.user.id, /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(result.user.clerk_user_id, ada.user);
  assert.equal(result.profile?.user_id, result.user.id);
  assert.deepEqual([result.organization, result.membership, result.membership_profile], [null, null, null]);
  const again = await ensureProfile({ api: shared().api, getToken, timeoutMs });
  assert.deepEqual(again, { ...result, created: [] });
});

test("with an active organization there are the membership and its record, too", async () => {
  const getToken = () => token(shared(), ada.user, { organization_id: ada.organization });
  const result = await ensureProfile({ api: shared().api, getToken, timeoutMs });
  assert.ok(result.ok, JSON.stringify(result));
  assert.equal(result.organization?.organization_id, ada.organization);
  assert.equal(result.membership?.organization_id, ada.organization);
  assert.equal(result.membership.clerk_user_id, ada.user);
  assert.match(result.membership.role ?? "", /^org:/);
  assert.equal(result.membership_profile?.organization_id, ada.organization);
  assert.equal(result.membership_profile.user_id, result.user.id);
});

test("a browser is sent to sync for as long as the claims lack dbId or differ in the role", async () => {
  const { api } = shared();
  const ensure = (claims: Record<string, unknown>) =>
    ensureProfile({ api, getToken: () => token(shared(), ada.user, { claims }), timeoutMs });
  const lagging = await ensure({ metadata: {} });
  assert.ok(lagging.ok, JSON.stringify(lagging));
  assert.equal(lagging.needs_sync, true);
  const storage = new Map<string, string>();
  const due = () =>
    dueSyncUrl({
      api,
      result: lagging,
      redirectUrl: "https://app.example.com/",
      storage: { getItem: (key) => storage.get(key) ?? null, setItem: (key, value) => void storage.set(key, value) },
    });
  assert.deepEqual([due(), due()], [syncUrl(api, "https://app.example.com/"), null]);

  const { id, role } = lagging.user;
  const other = role === "admin" ? "user" : "admin";
  for (const [metadata, needsSync] of [
    [{ dbId: id, role }, false],
    [{ role }, true],
    [{ dbId: id, role: other }, true],
  ] as const) {
    const result = await ensure({ metadata });
    assert.ok(result.ok, JSON.stringify(result));
    assert.equal(result.needs_sync, needsSync, JSON.stringify(metadata));
  }
});

test("sync brings the browser back to the very page that it came from", async () => {
  const [origin] = shared().allowed_origins.split(" ");
  const page = `${origin}/courses/a%20b?q=c+d&next=%2Fe%26f#g`;
  const cookie = `__session=${await token(shared(), ada.user)}`;
  const response = await fetch(syncUrl(shared().api, page), { headers: { cookie }, redirect: "manual" });
  assert.deepEqual([response.status, response.headers.get("location")], [303, page]);
});

test("a bad token is refused, with the reason", async () => {
  for (const [defect, status, code] of [
    [{ issued_ago: 3600 }, 401, "token_expired"],
    [{ tamper: "signature" }, 401, "token_signature"],
    [{ claims: { sts: "pending" } }, 401, "session_pending"],
  ] as const) {
    const getToken = () => token(shared(), ada.user, defect);
    const result = await ensureProfile({ api: shared().api, getToken, timeoutMs });
    assert.ok(!result.ok);
    assert.deepEqual([result.reason, result.status, result.problem?.code], ["refused", status, code]);
  }
});

test("a deleted user is told so", async () => {
  const created = await clerk(shared(), "POST", "/v1/users", { email_address: ["gone@example.com"] });
  const { id } = created as { id: string };
  const jwt = await token(shared(), id, { expires_in: 600 });
  await clerk(shared(), "DELETE", `/v1/users/${id}`);
  await clerk(shared(), "POST", "/_emulator/settle");
  const result = await ensureProfile({ api: shared().api, getToken: async () => jwt, timeoutMs });
  assert.ok(!result.ok);
  assert.deepEqual([result.reason, result.status, result.problem?.code], ["refused", 410, "user_deleted"]);
});

test("the page renders after two seconds while Clerk is slow and its keys are out of reach", async () => {
  await withStack(async (fresh) => {
    const { user } = await member(fresh);
    const jwt = await token(fresh, user);
    await clerk(fresh, "PUT", "/_emulator/faults", { api: { slow_ms: 5000, jwks_down: true } });
    const started = performance.now();
    const result = await ensureProfile({ api: fresh.api, getToken: async () => jwt });
    const took = performance.now() - started;
    assert.equal(result.ok, false, JSON.stringify(result));
    assert.ok(took < 2700, `took ${took} ms`);
  });
});

test("the page renders at once when nothing is there any more", async () => {
  await withStack(async (fresh) => {
    const { user } = await member(fresh);
    const jwt = await token(fresh, user);
    const ensure = () => ensureProfile({ api: fresh.api, getToken: async () => jwt, timeoutMs });
    assert.equal((await ensure()).ok, true);
    assert.equal(await fresh.stop(), 0);
    const started = performance.now();
    const result = await ensure();
    assert.ok(!result.ok);
    assert.equal(result.reason, "network");
    assert.match(result.cause ?? "", /ECONNREFUSED/);
    const took = performance.now() - started;
    assert.ok(took < 500, `took ${took} ms`);
  });
});
