import { Show, SignInButton, UserButton } from "@clerk/nextjs";
import { Suspense, type ReactNode } from "react";
import { currentCaller } from "../../lib/rollcall";
import { FollowUp } from "./follow-up";

export default function CoursesLayout({ children }: { children: ReactNode }) {
  return (
    <>
      <header>
        <Show when="signed-out">
          <SignInButton />
        </Show>
        <Show when="signed-in">
          <UserButton />
        </Show>
      </header>
      {children}
      {/* Streamed after the page, which does not wait for it. */}
      <Suspense>
        <Ensure />
      </Suspense>
    </>
  );
}

/** Calls Rollcall, also for pages that show nothing of what it says. */
async function Ensure() {
  return <FollowUp caller={await currentCaller()} />;
}
