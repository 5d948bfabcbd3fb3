// The ensure-profile function's path for a caller whom nothing is missing, as one would write it for Node.js: verify the
// session token, one BatchGetItem, answer. What only other callers need (cookies, published keys, creating, Clerk), and the
// token's permissions, which this answer does not depend on, are left out, in Node.js's favour.

import { createPublicKey, verify } from "node:crypto";
import { BatchGetItemCommand, DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { internalId } from "./internal-id.js";
import { serve } from "./runtime.js";

const { ALLOWED_ORIGINS, CLERK_ISSUER, CLERK_JWT_KEY, DIRECTORY_TABLE, PROFILES_TABLE } = process.env;

const key = createPublicKey(CLERK_JWT_KEY);
const origins = ALLOWED_ORIGINS.split(/[ ,]+/);
const dynamodb = new DynamoDBClient();

const SKEW_SECONDS = 5;
const MACHINE_CATEGORY = "cl_B7d4PD333AAA";
const ID = /^[\w-]{1,255}$/;

// Everything else in a row is there to keep the copy.
const SHOWN = new Set([
  "banned", "clerk_user_id", "created_at", "deprovisioned", "email", "email_verified", "external_id", "first_name", "id",
  "image_url", "last_name", "locked", "membership_id", "name", "organization_id", "permissions", "phone",
  "public_metadata", "role", "slug", "updated_at", "username",
]);

function parse(part) {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}

// The session, or the code of the first rule that is broken.
function session(token, now) {
  let header, claims;
  const [first, second, third, ...rest] = token.split(".");
  try {
    header = parse(first);
    if (header.alg !== "RS256") return "token_algorithm";
    if (third === undefined || rest.length > 0) return "token_malformed";
    if (!verify("sha256", Buffer.from(`${first}.${second}`), key, Buffer.from(third, "base64url"))) {
      return "token_signature";
    }
    claims = parse(second);
  } catch {
    return "token_malformed";
  }
  const { act, azp, exp, iat, iss, metadata, nbf, o, org_id: v1, sts, sub } = claims;
  if (typeof exp !== "number") return "token_malformed";
  if (header.typ !== "JWT") return "token_type";
  if (typeof sub !== "string") return "token_subject";
  if (header.cat === MACHINE_CATEGORY || sub.startsWith("mch_")) return "token_machine";
  if (!ID.test(sub)) return "token_subject";
  if (exp <= now - SKEW_SECONDS) return "token_expired";
  if (nbf > now + SKEW_SECONDS) return "token_not_yet_valid";
  if (iat > now + SKEW_SECONDS) return "token_issued_in_future";
  if (iss !== CLERK_ISSUER) return "token_issuer";
  if (!origins.includes(azp)) return "token_origin";
  if (sts === "pending") return "session_pending";
  return {
    user: sub,
    actor: act?.sub ?? null,
    organization: o?.id ?? v1,
    dbId: claims.dbId ?? metadata?.dbId,
    role: claims.role ?? metadata?.role,
  };
}

function plain(value) {
  if (value.S !== undefined) return value.S;
  if (value.N !== undefined) return Number(value.N);
  if (value.BOOL !== undefined) return value.BOOL;
  if (value.L !== undefined) return value.L.map(plain);
  return value.M === undefined ? null : fields(value.M);
}

function fields(attributes) {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, plain(value)]));
}

function copy(row) {
  return fields(Object.fromEntries(Object.entries(row).filter(([name]) => SHOWN.has(name))));
}

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
