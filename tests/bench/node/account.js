// The account function's path for `GET /me`, as one would write it for Node.js: verify the session token, one Query of the
// caller's rows, one BatchGetItem of the organizations, answer with an entity tag. Further pages, other routes, and what other
// callers need (cookies, published keys, Clerk) are left out, in Node.js's favour.

import { createHash } from "node:crypto";
import { BatchGetItemCommand, DynamoDBClient, QueryCommand } from "@aws-sdk/client-dynamodb";
import { internalId } from "./internal-id.js";
import { copy } from "./rows.js";
import { serve } from "./runtime.js";
import { session } from "./session.js";

const { DIRECTORY_TABLE } = process.env;

const dynamodb = new DynamoDBClient();

async function own(pk) {
  const { Items } = await dynamodb.send(
    new QueryCommand({
      TableName: DIRECTORY_TABLE,
      KeyConditionExpression: "pk = :pk",
      ExpressionAttributeValues: { ":pk": { S: pk } },
      ConsistentRead: true,
    }),
  );
  return Items;
}

async function organizations(memberships) {
  if (memberships.length === 0) return [];
  const keys = memberships.map(({ sk }) => ({ pk: sk, sk: { S: "ORG" } }));
  const { Responses, UnprocessedKeys } = await dynamodb.send(
    new BatchGetItemCommand({ RequestItems: { [DIRECTORY_TABLE]: { Keys: keys, ConsistentRead: true } } }),
  );
  if (Object.keys(UnprocessedKeys ?? {}).length > 0) throw new Error("keys were left out");
  return Responses[DIRECTORY_TABLE];
}

function answer(statusCode, body, headers = { "cache-control": "no-store" }) {
  return { statusCode, headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) };
}

function tagged(body, known) {
  const hash = createHash("sha256").update(JSON.stringify(body)).digest("base64url").slice(0, 16);
  const etag = `"${hash}"`;
  const headers = { etag, "cache-control": "private, no-cache", vary: "authorization, cookie, origin" };
  return known === etag ? { statusCode: 304, headers } : answer(200, body, headers);
}

async function handler(event) {
  if (event.requestContext.routeKey !== "GET /me") return answer(404, { code: "route_not_found" });
  const token = /^bearer (.*)$/i.exec(event.headers.authorization ?? "")?.[1].trim();
  const caller = token === undefined ? "session_missing" : session(token, Date.now() / 1000);
  if (typeof caller === "string") return answer(401, { code: caller });

  const rows = await own(`USER#${internalId(caller.user)}`);
  const row = rows.find(({ sk }) => sk.S === "USER");
  if (row === undefined) return answer(404, { code: "user_not_synced" });
  if (row.deleted_at !== undefined) return answer(410, { code: "user_deleted" });
  if (row.banned?.BOOL) return answer(403, { code: "user_banned" });
  if (row.deprovisioned?.BOOL) return answer(403, { code: "user_deprovisioned" });

  const memberships = rows.filter(({ sk, deleted_at }) => sk.S !== "USER" && deleted_at === undefined);
  const live = (await organizations(memberships)).filter(({ deleted_at }) => deleted_at === undefined);
  const of = memberships.flatMap((membership) => {
    const organization = live.find(({ pk }) => pk.S === membership.sk.S);
    return organization ? [{ organization: copy(organization), membership: copy(membership) }] : [];
  });
  const user = copy(row);
  const active = of.find(({ organization }) => organization.organization_id === caller.organization);
  const needs_sync = caller.dbId === undefined || (caller.role === "admin") !== (user.role === "admin");
  console.log(JSON.stringify({ id: caller.user, outcome: "complete", route: "GET /me" }));
  const active_organization_id = active?.organization.organization_id ?? null;
  const body = { user, organizations: of, active_organization_id, needs_sync, actor: caller.actor };
  return tagged(body, event.headers["if-none-match"]);
}

await serve(handler);
