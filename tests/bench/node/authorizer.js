// The authorizer function's path for a request to an HTTP API with payload 2.0, as one would write it for Node.js: verify the
// session token, one BatchGetItem of the caller's rows, answer with the context. The events of other APIs, and what other
// callers need (cookies, published keys), are left out, in Node.js's favour.

import { BatchGetItemCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { internalId } from "./internal-id.js";
import { serve } from "./runtime.js";
import { session } from "./session.js";

const { DIRECTORY_TABLE } = process.env;

const dynamodb = new DynamoDBClient();

async function copies(pk, organization) {
  const key = (pk, sk) => ({ pk: { S: pk }, sk: { S: sk } });
  const keys = [key(pk, "USER")];
  if (organization !== undefined) keys.push(key(`ORG#${organization}`, "ORG"), key(pk, `ORG#${organization}`));
  const { Responses, UnprocessedKeys } = await dynamodb.send(
    new BatchGetItemCommand({ RequestItems: { [DIRECTORY_TABLE]: { Keys: keys, ConsistentRead: true } } }),
  );
  if (Object.keys(UnprocessedKeys ?? {}).length > 0) throw new Error("keys were left out");
  const rows = Responses[DIRECTORY_TABLE];
  return keys.map(({ pk, sk }) => rows.find((row) => row.pk.S === pk.S && row.sk.S === sk.S));
}

function refusal(user) {
  if (user === undefined) return "user_not_synced";
  if (user.deleted_at !== undefined) return "user_deleted";
  if (user.banned?.BOOL) return "user_banned";
  return user.deprovisioned?.BOOL ? "user_deprovisioned" : undefined;
}

function deny(code) {
  return { isAuthorized: false, context: { code } };
}

function isLive(row) {
  return row !== undefined && row.deleted_at === undefined;
}

// A name with white space would be read as two permissions.
function permissions({ permissions }) {
  const names = permissions?.L.map(({ S }) => S) ?? [];
  return names.filter((name) => /^\S+$/.test(name)).join(" ");
}

async function handler(event) {
  if (event.version !== "2.0" || event.type !== "REQUEST") throw new Error("the event is not an authorizer request");
  const now = Date.now() / 1000;
  const token = /^bearer (.*)$/i.exec(event.headers.authorization ?? "")?.[1].trim();
  const caller = token === undefined ? "session_missing" : session(token, now);
  if (typeof caller === "string") return deny(caller);

  const user_id = internalId(caller.user);
  const [user, organization, membership] = await copies(`USER#${user_id}`, caller.organization);
  const code = refusal(user);
  if (code !== undefined) return deny(code);
  const isMember = isLive(organization) && isLive(membership);
  console.log(JSON.stringify({ id: caller.user, outcome: "complete" }));
  const context = {
    user_id,
    clerk_user_id: caller.user,
    role: user.role?.S === "admin" ? "admin" : "user",
    organization_id: isMember ? caller.organization : "",
    organization_role: isMember ? (membership.role?.S ?? "") : "",
    permissions: isMember ? permissions(membership) : "",
    claims_age: caller.issuedAt === undefined ? "" : String(Math.max(0, Math.floor(now) - caller.issuedAt)),
  };
  return { isAuthorized: true, context };
}

await serve(handler);
