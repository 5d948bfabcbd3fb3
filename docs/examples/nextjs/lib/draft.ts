// The fields of the form, and what becomes of them if somebody else has changed the record in the meantime.

export const FIELDS = ["bio", "city"] as const;

type Field = (typeof FIELDS)[number];

/** What the user sees and edits. */
export type Draft = Record<Field, string>;

/** The fields of a stored record. One that the record does not have is empty. */
export function draftOf(stored: Partial<Draft>): Draft {
  return { bio: stored.bio ?? "", city: stored.city ?? "" };
}

/** The merge patch from one draft to another: only fields that differ, and null for one that the user has emptied. */
export function changes(from: Draft, to: Draft): Partial<Record<Field, string | null>> {
  const changed = FIELDS.filter((field) => to[field] !== from[field]);
  return Object.fromEntries(changed.map((field) => [field, to[field] || null]));
}

/**
 * Brings together what the user has typed and what is stored now, by what was there before. A field that the user has not
 * touched takes the stored value; one that the user has changed stays. `both` are the fields that both have changed.
 */
export function merge(before: Draft, typed: Draft, now: Draft): { draft: Draft; both: Field[] } {
  const touched = FIELDS.filter((field) => typed[field] !== before[field]);
  const draft = { ...now, ...Object.fromEntries(touched.map((field) => [field, typed[field]])) };
  const both = touched.filter((field) => now[field] !== before[field] && now[field] !== typed[field]);
  return { draft, both };
}
