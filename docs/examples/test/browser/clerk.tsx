// What ../../react/main.tsx gets for @clerk/react: Clerk's own hooks and components, but for those that need Clerk's
// servers. Somebody is signed in, with tokens from the test, and Clerk's dialog is answered by the test.

import { ClerkProvider as Provider } from "@clerk/react";
import type { ComponentProps, ReactNode } from "react";
import { createRollcall, type Rollcall } from "rollcall-client";
import { SignedIn } from "../clerk.ts";

export * from "@clerk/react";

/** What the test puts into the page, and what it finds there. */
interface Test {
  /** A session token in which the first factor is so many minutes old. */
  mint: (minutes: number) => Promise<string>;
  organization: string;
  /** How long ago the user signed in. */
  minutes: number;
  /** Whether the user verifies when Clerk's dialog comes up, and how often it did. */
  verifies: boolean;
  dialogs: number;
  rollcall: Rollcall;
}

const test = window as unknown as Test;

let cached: Promise<string> | undefined;

/** As Clerk does it: the token of a moment ago, unless a new one is asked for. */
const getToken = (options?: { skipCache?: boolean }) => {
  if (options?.skipCache) cached = undefined;
  return (cached ??= test.mint(test.minutes));
};

const clerk = new SignedIn(getToken, test.organization);
clerk.verifies = () => {
  test.dialogs += 1;
  if (test.verifies) test.minutes = 0;
  return test.verifies;
};
test.rollcall = createRollcall({ api: import.meta.env.VITE_ROLLCALL_API, getToken });

export function ClerkProvider({ children, publishableKey }: { children: ReactNode; publishableKey: string }) {
  // Without a script from Clerk's servers.
  const options = { publishableKey, Clerk: clerk.given(), experimental: { runtimeEnvironment: "headless" } };
  return <Provider {...(options as ComponentProps<typeof Provider>)}>{children}</Provider>;
}

export const OrganizationSwitcher = () => null;
export const SignInButton = () => null;
export const UserButton = () => null;
