// Rows as DynamoDB writes them, and what of them is shown.

// Everything else in a row is there to keep the copy.
const SHOWN = new Set([
  "banned", "clerk_user_id", "created_at", "deprovisioned", "email", "email_verified", "external_id", "first_name", "id",
  "image_url", "last_name", "locked", "membership_id", "name", "organization_id", "permissions", "phone",
  "public_metadata", "role", "slug", "updated_at", "username",
]);

function plain(value) {
  if (value.S !== undefined) return value.S;
  if (value.N !== undefined) return Number(value.N);
  if (value.BOOL !== undefined) return value.BOOL;
  if (value.L !== undefined) return value.L.map(plain);
  return value.M === undefined ? null : fields(value.M);
}

export function fields(attributes) {
  return Object.fromEntries(Object.entries(attributes).map(([name, value]) => [name, plain(value)]));
}

export function copy(row) {
  return fields(Object.fromEntries(Object.entries(row).filter(([name]) => SHOWN.has(name))));
}
