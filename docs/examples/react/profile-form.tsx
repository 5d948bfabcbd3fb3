import { useEffect, useState, type FormEvent } from "react";
import { FIELDS, changes, draftOf, merge, type Draft } from "./draft";
import { explain, useRollcall } from "./rollcall";

/** What is stored, as far as this page knows. */
interface Stored {
  draft: Draft;
  etag: string | null;
}

/**
 * The user's own record. It is changed only if it is still the one that the user has seen: nothing is lost that another
 * window, another device or the application's backend has written.
 */
export function ProfileForm() {
  const { profile } = useRollcall();
  const [stored, setStored] = useState<Stored | null>(null);
  const [typed, setTyped] = useState(draftOf({}));
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);

  useEffect(() => {
    const left = new AbortController();
    void (async () => {
      const answer = await profile.get({ signal: left.signal });
      if (left.signal.aborted) return;
      if (!answer.ok) return setMessage(explain(answer));
      const draft = draftOf(answer.value);
      setStored({ draft, etag: answer.etag });
      setTyped(draft);
    })();
    return () => left.abort();
  }, [profile]);

  async function save(before: Stored) {
    // An answer has no tag if something between here and Rollcall takes it away. Then the last one to save wins.
    const answer = await profile.patch(changes(before.draft, typed), { ifMatch: before.etag ?? "*" });
    if (answer.ok) {
      const draft = draftOf(answer.value);
      setStored({ draft, etag: answer.etag });
      setTyped(draft);
      return setMessage("Saved.");
    }
    if (answer.problem?.code !== "precondition_failed") return setMessage(explain(answer));
    // Somebody was faster. The user sees both, and saves again, which is then a change of what is stored now.
    const now = await profile.get();
    if (!now.ok) return setMessage(explain(now));
    const draft = draftOf(now.value);
    const merged = merge(before.draft, typed, draft);
    setStored({ draft, etag: now.etag });
    setTyped(merged.draft);
    const theirs = merged.both.map((field) => `${field} is now "${draft[field]}"`).join(", ");
    setMessage(`Your profile was changed elsewhere${theirs && `: ${theirs}`}. Check it, and save again.`);
  }

  async function submit(event: FormEvent) {
    event.preventDefault();
    if (stored === null) return;
    setBusy(true);
    await save(stored);
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
      <button disabled={stored === null || busy}>Save</button>
      <p role="status">{message}</p>
    </form>
  );
}
