import type { NextConfig } from "next";

const api = process.env.NEXT_PUBLIC_ROLLCALL_API;
if (!URL.canParse(api)) {
  throw new Error("NEXT_PUBLIC_ROLLCALL_API must be the URL of Rollcall's API, such as https://api.example.com");
}

const config: NextConfig = {
  // Browsers send Clerk's session cookie to this host only, and `/sync` needs it. Nothing else goes this way.
  rewrites: async () => [{ source: "/rollcall/sync", destination: `${api.replace(/\/+$/, "")}/sync` }],
};

export default config;
