import { clerkMiddleware } from "@clerk/nextjs/server";

// What makes `auth()` work. Before Next.js 16 this file is called middleware.ts.
export default clerkMiddleware();

export const config = {
  // Everything but Next.js's own files and what looks like a static file. The way to `/sync` is not left out: on it, too,
  // Clerk renews a session token that has expired.
  matcher: ["/((?!_next|.*\\.(?:css|gif|ico|jpe?g|js|png|svg|txt|webp|woff2?)$).*)"],
};
