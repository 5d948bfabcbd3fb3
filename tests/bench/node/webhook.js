// The webhook function's path for a live user event, as one would write it for Node.js: verify, parse, project, one
// conditional PutItem. What only other events need (tombstones, ties, quarantine) is left out, in Node.js's favour.

import { createHash } from "node:crypto";
import { ConditionalCheckFailedException, DynamoDBClient, PutItemCommand } from "@aws-sdk/client-dynamodb";
// What Clerk's own `verifyWebhook` uses, and lighter than Svix's package, which is a client of Svix's whole API.
import { Webhook } from "standardwebhooks";
import { attributes } from "./attributes.js";
import { internalId } from "./internal-id.js";
import { serve } from "./runtime.js";

const instance = process.env.CLERK_INSTANCE_ID;
const signature = new Webhook(process.env.CLERK_WEBHOOK_SECRET);
const dynamodb = new DynamoDBClient();

// Keys in order, as the digest needs them.
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const keys = Object.keys(value).filter((key) => value[key] != null).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonical(value[key])}`).join(",")}}`;
}

function project(user) {
  const email = user.email_addresses.find((address) => address.id === user.primary_email_address_id);
  return {
    id: internalId(user.id),
    clerk_user_id: user.id,
    external_id: user.external_id,
    first_name: user.first_name,
    last_name: user.last_name,
    username: user.username,
    name: [user.first_name, user.last_name].filter(Boolean).join(" ") || user.username || "User",
    email: email?.email_address,
    email_verified: email && email.verification?.status === "verified",
    phone: user.phone_numbers.find((number) => number.id === user.primary_phone_number_id)?.phone_number,
    image_url: user.image_url,
    role: user.public_metadata.role === "admin" ? "admin" : "user",
    public_metadata: user.public_metadata,
    banned: user.banned,
    locked: user.locked,
    deprovisioned: user.deprovisioned,
  };
}

function answer(statusCode, body) {
  return { statusCode, headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

async function handler(event) {
  const body = event.isBase64Encoded ? Buffer.from(event.body, "base64").toString() : event.body;
  const deliveryId = event.headers["svix-id"];
  let envelope;
  try {
    envelope = signature.verify(body, {
      "webhook-id": deliveryId,
      "webhook-timestamp": event.headers["svix-timestamp"],
      "webhook-signature": event.headers["svix-signature"],
    });
  } catch {
    return answer(400, { code: "signature_invalid" });
  }
  if (envelope.instance_id !== instance) return answer(403, { code: "foreign_instance" });
  if (!["user.created", "user.updated"].includes(envelope.type)) return answer(200, { outcome: "ignored" });

  const user = envelope.data;
  const fields = project(user);
  const rank = `${"0".padStart(13, "0")}.0.${String(user.updated_at).padStart(13, "0")}`;
  const subject = canonical({ projection: 2, kind: "user", fields });
  const item = {
    pk: `USER#${fields.id}`,
    sk: "USER",
    rank,
    digest: createHash("sha256").update(subject).digest("hex").slice(0, 32),
    applied_at: Date.now(),
    applied_by: "webhook",
    delivery_id: deliveryId,
    created_at: user.created_at,
    updated_at: user.updated_at,
    ...fields,
  };
  let outcome = "applied";
  try {
    await dynamodb.send(
      new PutItemCommand({
        TableName: process.env.DIRECTORY_TABLE,
        Item: attributes(item),
        ConditionExpression: "attribute_not_exists(#rank) OR #rank < :rank",
        ExpressionAttributeNames: { "#rank": "rank" },
        ExpressionAttributeValues: { ":rank": { S: rank } },
        ReturnValuesOnConditionCheckFailure: "ALL_OLD",
        ReturnConsumedCapacity: "TOTAL",
      }),
    );
  } catch (error) {
    if (!(error instanceof ConditionalCheckFailedException)) throw error;
    outcome = error.Item?.rank?.S === rank && error.Item?.digest?.S === item.digest ? "duplicate" : "superseded";
  }
  console.log(JSON.stringify({ svix_id: deliveryId, kind: envelope.type, id: user.id, outcome, rank }));
  return answer(200, { outcome });
}

await serve(handler);
