"use client";

import { useState, type FormEvent } from "react";
import { FIELDS, changes, draftOf, merge, type Draft } from "../../../lib/draft";
import { explain } from "../../../lib/explain";
import { readProfile, saveProfile } from "./actions";

/** What is stored, as far as this page knows. */
interface Stored {
  draft: Draft;
  etag: string | null;
}

/**
 * The user's own record. It is changed only if it is still the one that the user has seen: nothing is lost that another
 * window, another device or the application's backend has written.
 */
export function ProfileForm({ first }: { first: Stored }) {
  const [stored, setStored] = useState(first);
  const [typed, setTyped] = useState(first.draft);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);

  async function save() {
    const answer = await saveProfile(changes(stored.draft, typed), stored.etag);
    if (answer.ok) {
      const draft = draftOf(answer.value);
      setStored({ draft, etag: answer.etag });
      setTyped(draft);
      return setMessage("Saved.");
    }
    if (answer.problem?.code !== "precondition_failed") return setMessage(explain(answer));
    // Somebody was faster. The user sees both, and saves again, which is then a change of what is stored now.
    const now = await readProfile();
    if (!now.ok) return setMessage(explain(now));
    const draft = draftOf(now.value);
    const merged = merge(stored.draft, typed, draft);
    setStored({ draft, etag: now.etag });
    setTyped(merged.draft);
    const theirs = merged.both.map((field) => `${field} is now "${draft[field]}"`).join(", ");
    setMessage(`Your profile was changed elsewhere${theirs && `: ${theirs}`}. Check it, and save again.`);
  }

  async function submit(event: FormEvent) {
    event.preventDefault();
    setBusy(true);
    await save();
    setBusy(false);
  }

  return (
    <form onSubmit={(event) => void submit(event)}>
      {FIELDS.map((field) => (
        <label key={field}>
          {field}
          <input
            name={field}
            value={typed[field]}
            onChange={(event) => setTyped({ ...typed, [field]: event.target.value })}
          />
        </label>
      ))}
      <button disabled={busy}>Save</button>
      <p role="status">{message}</p>
    </form>
  );
}
