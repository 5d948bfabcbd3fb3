// The react function's path for a change of an entity that is there already, as one would write it for Node.js: compare the
// two images, one PutEvents. What only other changes need (records in Profiles, ends, the write-back) is left out, in
// Node.js's favour.

import { EventBridgeClient, PutEventsCommand } from "@aws-sdk/client-eventbridge";
import { serve } from "./runtime.js";

const bus = new EventBridgeClient();

// What every write changes, and what says when and by whom.
const KEPT = new Set(["rank", "digest", "applied_at", "applied_by", "delivery_id", "created_at", "updated_at"]);

function change(old, now) {
  if (old.digest.S === now.digest.S) return [];
  const names = [...new Set([...Object.keys(old), ...Object.keys(now)])].filter((name) => !KEPT.has(name)).sort();
  const changed = names.filter((name) => JSON.stringify(old[name]) !== JSON.stringify(now[name]));
  const id = now.id.S;
  return [{
    entity: "user",
    kind: "updated",
    id,
    changed,
    rank: now.rank.S,
    source: now.applied_by.S,
    cache_tags: ["global:users", `id:${id}-users`, `user:${id}-users`],
  }];
}

async function handler({ Records }) {
  const changes = Records.flatMap(({ dynamodb }) => change(dynamodb.OldImage, dynamodb.NewImage));
  const Entries = changes.map((detail) => ({
    EventBusName: process.env.EVENT_BUS,
    Source: "rollcall",
    DetailType: `${detail.entity}.${detail.kind}`,
    Detail: JSON.stringify(detail),
  }));
  const { FailedEntryCount } = await bus.send(new PutEventsCommand({ Entries }));
  if (FailedEntryCount > 0) throw new Error("not all events were taken");
  for (const detail of changes) console.log(JSON.stringify({ ...detail, message: "change" }));
  return { batchItemFailures: [] };
}

await serve(handler);
