// The ensure-profile function's path for a caller whom nothing is missing, as one would write it for Node.js: verify the
// session token, one BatchGetItem, answer. What only other callers need (cookies, published keys, creating, Clerk), and the
// token's permissions, which this answer does not depend on, are left out, in Node.js's favour.

import { BatchGetItemCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { internalId } from "./internal-id.js";
import { copy, fields } from "./rows.js";
import { serve } from "./runtime.js";
import { session } from "./session.js";

const { DIRECTORY_TABLE, PROFILES_TABLE } = process.env;

const dynamodb = new DynamoDBClient();

function record({ pk, sk, ...own }) {
  return fields(own);
}

async function read(pk, organization) {
  const key = (pk, sk) => ({ pk: { S: pk }, sk: { S: sk } });
  const copies = [key(pk, "USER")];
  const records = [key(pk, "PROFILE")];
  if (organization !== undefined) {
    copies.push(key(`ORG#${organization}`, "ORG"), key(pk, `ORG#${organization}`));
    records.push(key(pk, `ORG#${organization}`));
  }
  const { Responses, UnprocessedKeys } = await dynamodb.send(
    new BatchGetItemCommand({
      RequestItems: {
        [DIRECTORY_TABLE]: { Keys: copies, ConsistentRead: true },
        [PROFILES_TABLE]: { Keys: records, ConsistentRead: true },
      },
    }),
  );
  if (Object.keys(UnprocessedKeys ?? {}).length > 0) throw new Error("keys were left out");
  const rows = (table, keys) =>
    keys.map(({ pk, sk }) => Responses[table].find((row) => row.pk.S === pk.S && row.sk.S === sk.S));
  return [...rows(DIRECTORY_TABLE, copies), ...rows(PROFILES_TABLE, records)];
}

function answer(statusCode, body) {
  return {
    statusCode,
    headers: { "cache-control": "no-store", "content-type": "application/json" },
    body: JSON.stringify(body),
  };
}

async function handler(event) {
  if (event.requestContext.routeKey !== "POST /profiles/ensure") {
    return answer(404, { code: "route_not_found" });
  }
  const token = /^bearer (.*)$/i.exec(event.headers.authorization ?? "")?.[1].trim();
  const caller = token === undefined ? "session_missing" : session(token, Date.now() / 1000);
  if (typeof caller === "string") return answer(401, { code: caller });

  const rows = await read(`USER#${internalId(caller.user)}`, caller.organization);
  if (rows[0]?.deleted_at !== undefined) return answer(410, { code: "user_deleted" });
  if (rows[0]?.banned?.BOOL) return answer(403, { code: "user_banned" });
  // Asking Clerk and creating would begin here.
  if (rows.some((row) => row === undefined || row.deleted_at !== undefined)) {
    return answer(501, { code: "something_missing" });
  }
  const copies = rows.slice(0, caller.organization === undefined ? 1 : 3);
  const [user, organization = null, membership = null] = copies.map(copy);
  const [profile, membership_profile = null] = rows.slice(copies.length).map(record);
  const needs_sync = caller.dbId === undefined || (caller.role === "admin") !== (user.role === "admin");
  console.log(JSON.stringify({ id: caller.user, outcome: "complete", needs_sync }));
  const { actor } = caller;
  return answer(200, { user, profile, organization, membership, membership_profile, created: [], needs_sync, actor });
}

await serve(handler);
