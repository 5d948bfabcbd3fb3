// The application's own id of a user, computed from Clerk's.

import { createHash } from "node:crypto";

const URL_NAMESPACE = Buffer.from("6ba7b8119dad11d180b400c04fd430c8", "hex");
const namespace = uuid5(URL_NAMESPACE, `clerk:${process.env.CLERK_INSTANCE_ID}`);

function uuid5(space, name) {
  const hash = createHash("sha1").update(space).update(name).digest().subarray(0, 16);
  hash[6] = (hash[6] & 0x0f) | 0x50;
  hash[8] = (hash[8] & 0x3f) | 0x80;
  return hash;
}

export function internalId(user) {
  return uuid5(namespace, user).toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
