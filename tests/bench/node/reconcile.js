// The reconcile function's path in an hour in which nothing is due, as one would write it for Node.js: a Query for each hour
// of the last day. One after the other: all at once, each would set up a connection of its own. Everything that a run and a
// removal need is left out, in Node.js's favour.

import { DynamoDBClient, QueryCommand } from "@aws-sdk/client-dynamodb";
import { serve } from "./runtime.js";

const dynamodb = new DynamoDBClient();

const HOUR = 60 * 60 * 1000;
const LOOKS_BACK = 25;

async function due(partition) {
  const { Items } = await dynamodb.send(
    new QueryCommand({
      TableName: process.env.OPERATIONS_TABLE,
      KeyConditionExpression: "pk = :pk",
      ExpressionAttributeValues: { ":pk": { S: partition } },
      ConsistentRead: true,
      Limit: 100,
    }),
  );
  return Items;
}

async function settle() {
  const now = Date.now();
  for (let back = 0; back <= LOOKS_BACK; back += 1) {
    const hour = new Date(now - back * HOUR).toISOString().slice(0, 13);
    // Removing would begin here.
    if ((await due(`PURGE#${hour}`)).length > 0) throw new Error("something is due");
  }
  return {
    purged: 0, rows: 0, restored: 0, obsolete: 0, failed: 0, out_of_time: false, missing_tables: [], expired_backups: 0,
  };
}

async function handler({ order }) {
  if (order !== "purge_due") throw new Error("a run is not made here");
  const purges = await settle();
  console.log(JSON.stringify({ message: "an invocation of the hourly purge finished", outcome: "done", ...purges }));
  return { state: "done", purges };
}

await serve(handler);
