// Values as DynamoDB writes them.

export function attribute(value) {
  if (typeof value === "string") return { S: value };
  if (typeof value === "number") return { N: String(value) };
  if (typeof value === "boolean") return { BOOL: value };
  if (Array.isArray(value)) return { L: value.map(attribute) };
  if (value === null) return { NULL: true };
  return { M: attributes(value) };
}

export function attributes(fields) {
  const present = Object.entries(fields).filter(([, value]) => value !== null && value !== undefined);
  return Object.fromEntries(present.map(([name, value]) => [name, attribute(value)]));
}
