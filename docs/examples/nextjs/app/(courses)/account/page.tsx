import { auth } from "@clerk/nextjs/server";
import { Suspense } from "react";
import { draftOf } from "../../../lib/draft";
import { explain } from "../../../lib/explain";
import { currentRollcall } from "../../../lib/rollcall";
import { DeleteAccount } from "./delete-account";
import { MemberList } from "./member-list";
import { ProfileForm } from "./profile-form";

export default function Page() {
  return (
    <main>
      <h1>Your account</h1>
      <Suspense fallback={<p>Loading…</p>}>
        <Profile />
      </Suspense>
      <Suspense fallback={<p>Loading…</p>}>
        <Members />
      </Suspense>
      <DeleteAccount />
    </main>
  );
}

/** The form, filled on the server. */
async function Profile() {
  const { profile } = await currentRollcall();
  const answer = await profile.get();
  if (!answer.ok) return <p role="alert">{explain(answer)}</p>;
  return <ProfileForm first={{ draft: draftOf(answer.value), etag: answer.etag }} />;
}

/** The members of the active organization, from the first page on. */
async function Members() {
  const { orgId } = await auth();
  if (!orgId) return null;
  const rollcall = await currentRollcall();
  const answer = await rollcall.members(orgId).page();
  if (!answer.ok) return <p role="alert">{explain(answer)}</p>;
  // The list of another organization begins anew.
  return <MemberList key={orgId} organizationId={orgId} first={answer.value} />;
}
