import { Show } from "@clerk/nextjs";
import { Suspense } from "react";
import { draftOf } from "../../../lib/draft";
import { explain } from "../../../lib/explain";
import { currentCaller, currentRollcall } from "../../../lib/rollcall";
import { DeleteAccount } from "./delete-account";
import { MemberList } from "./member-list";
import { ProfileForm } from "./profile-form";

export default function Page() {
  return (
    <main>
      <h1>Your account</h1>
      <Show when="signed-in" fallback={<p>Sign in to see it.</p>}>
        <Suspense fallback={<p>Loading…</p>}>
          <Profile />
        </Suspense>
        <Suspense fallback={<p>Loading…</p>}>
          <Members />
        </Suspense>
        <DeleteAccount />
      </Show>
    </main>
  );
}

/** The form, filled on the server. The call is about a stored user: of a new one that is so once Rollcall has answered. */
async function Profile() {
  const caller = await currentCaller();
  if (!caller.ok) return <p role="alert">{explain(caller)}</p>;
  const { profile } = await currentRollcall();
  const answer = await profile.get();
  if (!answer.ok) return <p role="alert">{explain(answer)}</p>;
  return <ProfileForm first={{ draft: draftOf(answer.value), etag: answer.etag }} />;
}

/** The members of the active organization, from the first page on. */
async function Members() {
  const caller = await currentCaller();
  const id = caller.ok && caller.membership?.organization_id;
  if (!id) return null;
  const rollcall = await currentRollcall();
  const answer = await rollcall.members(id).page();
  if (!answer.ok) return <p role="alert">{explain(answer)}</p>;
  // The list of another organization begins anew.
  return <MemberList key={id} organizationId={id} first={answer.value} />;
}
