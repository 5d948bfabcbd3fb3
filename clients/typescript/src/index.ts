// What a frontend calls of Rollcall: `contract` is what the API answers, `client` asks it.

export * from "./client.js";
export type * from "./contract.js";
