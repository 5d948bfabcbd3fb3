// The react function's path for a user who has come, as one would write it for Node.js: one transaction for the record in
// Profiles, one PutEvents. What only other changes need (comparing images, ends, the write-back) is left out, in Node.js's
// favour.

import { DynamoDBClient, TransactWriteItemsCommand } from "@aws-sdk/client-dynamodb";
import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { attributes } from "./attributes.js";
import { serve } from "./runtime.js";

const { DIRECTORY_TABLE, EVENT_BUS, PROFILES_TABLE } = process.env;

const defaults = JSON.parse(process.env.PROFILE_DEFAULTS);
const dynamodb = new DynamoDBClient();
const bus = new EventBridgeClient();

// Everything else in a row is there to keep the copy.
const SHOWN = [
  "banned", "clerk_user_id", "deprovisioned", "email", "email_verified", "external_id", "first_name", "id", "image_url",
  "last_name", "locked", "name", "phone", "public_metadata", "role", "username",
];

async function provision({ pk, sk, id }) {
  const record = attributes({ ...defaults, pk: pk.S, sk: "PROFILE", user_id: id.S, created_at: Date.now() });
  await dynamodb.send(
    new TransactWriteItemsCommand({
      TransactItems: [
        {
          ConditionCheck: {
            TableName: DIRECTORY_TABLE,
            Key: { pk, sk },
            ConditionExpression: "attribute_exists(pk) AND attribute_not_exists(deleted_at)",
            ReturnValuesOnConditionCheckFailure: "ALL_OLD",
          },
        },
        {
          Put: {
            TableName: PROFILES_TABLE,
            Item: record,
            ConditionExpression: "attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure: "ALL_OLD",
          },
        },
      ],
      ReturnConsumedCapacity: "TOTAL",
    }),
  );
}

function change(row) {
  const id = row.id.S;
  return {
    entity: "user",
    kind: "created",
    id,
    changed: SHOWN.filter((name) => row[name] !== undefined),
    rank: row.rank.S,
    source: row.applied_by.S,
    cache_tags: ["global:users", `id:${id}-users`, `user:${id}-users`],
  };
}

async function tell(changes) {
  const entries = changes.map((detail) => ({
    EventBusName: EVENT_BUS,
    Source: "rollcall",
    DetailType: `${detail.entity}.${detail.kind}`,
    Detail: JSON.stringify(detail),
  }));
  const { FailedEntryCount } = await bus.send(new PutEventsCommand({ Entries: entries }));
  if (FailedEntryCount > 0) throw new Error("not all events were taken");
  for (const detail of changes) console.log(JSON.stringify({ ...detail, message: "change" }));
}

async function handler({ Records }) {
  const changes = [];
  for (const { eventName, dynamodb } of Records) {
    // Comparing images would begin here.
    if (eventName !== "INSERT") throw new Error(`${eventName} is not followed`);
    await provision(dynamodb.NewImage);
    changes.push(change(dynamodb.NewImage));
  }
  await tell(changes);
  return { batchItemFailures: [] };
}

await serve(handler);
