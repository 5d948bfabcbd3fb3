// Clerk's own code against the local stack: it must find in Rollcall's answers, and in the emulator's tokens, what it finds
// in Clerk's.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { createClerkClient, type ClerkClient } from "@clerk/backend";
import { isReverificationHint } from "@clerk/shared/authorization-errors";
import { createRollcall } from "rollcall-client";
import { clerk, start, token, type Stack } from "../../../clients/typescript/test/e2e/stack.ts";

let stack: Stack;
let backend: ClerkClient;

before(async () => {
  stack = await start(0, { ACCOUNT_DELETION: "on" });
  const publishableKey = stack.clerk_publishable_key;
  const telemetry = { disabled: true };
  backend = createClerkClient({ apiUrl: stack.clerk, secretKey: stack.clerk_secret_key, publishableKey, telemetry });
});

after(async () => {
  await stack?.stop();
});

async function user(name: string): Promise<string> {
  const { id } = (await clerk(stack, "POST", "/v1/users", { email_address: [`${name}@example.com`] })) as { id: string };
  await clerk(stack, "POST", "/_emulator/settle");
  return id;
}

/** What Clerk's backend makes of a token, as Next.js and other servers use it. */
async function authenticate(jwt: string) {
  const headers = { authorization: `Bearer ${jwt}` };
  const request = new Request("http://localhost:5173/", { headers });
  return backend.authenticateRequest(request, { authorizedParties: ["http://localhost:5173"] });
}

test("Clerk's backend accepts the emulator's tokens, and refuses those that are none", async () => {
  const id = await user("ada");
  const made = { name: "Acme", created_by: id };
  const { id: organization_id } = (await clerk(stack, "POST", "/v1/organizations", made)) as { id: string };
  const state = await authenticate(await token(stack, id, { organization_id }));
  assert.ok(state.isAuthenticated, state.message ?? "");
  const auth = state.toAuth();
  assert.deepEqual([auth.userId, auth.orgId, auth.orgRole], [id, organization_id, "org:admin"]);
  for (const defect of [
    { issued_ago: 3600 },
    { tamper: "signature" },
    { key: "foreign" },
    { claims: { azp: "https://elsewhere.example.com" } },
  ]) {
    const refused = await authenticate(await token(stack, id, defect));
    assert.equal(refused.isAuthenticated, false, JSON.stringify(defect));
  }
});

test("Clerk's frontend takes the answer for its own, and agrees about who must verify again", async () => {
  const id = await user("grace");
  for (const [fva, isFresh] of [
    [[10, -1], false],
    [[600, 0], false],
    [[-1, -1], false],
    [[9, -1], true],
  ] as const) {
    const jwt = await token(stack, id, { claims: { fva } });
    const state = await authenticate(jwt);
    assert.ok(state.isAuthenticated, state.message ?? "");
    const has = state.toAuth().has({ reverification: { level: "first_factor", afterMinutes: 10 } });
    assert.equal(has, isFresh, `Clerk about ${JSON.stringify(fva)}`);

    const answer = await createRollcall({ api: stack.api, getToken: async () => jwt, timeoutMs: 15_000 }).deleteMe();
    assert.equal(answer.ok, isFresh, JSON.stringify(answer));
    if (answer.ok) continue;
    assert.equal(isReverificationHint(answer), true, JSON.stringify(answer));
    // And the body by itself, for a frontend without the client.
    const response = await fetch(`${stack.api}/me`, { method: "DELETE", headers: { authorization: `Bearer ${jwt}` } });
    assert.equal(response.status, 403);
    assert.equal(isReverificationHint(await response.json()), true);
  }
});
