import type { Failure } from "rollcall-client";

/** What to tell the user about a call that failed. */
export function explain({ problem }: Failure): string {
  return problem ? `${problem.detail} ${problem.support ?? ""}` : "That did not work. Try again in a moment.";
}
