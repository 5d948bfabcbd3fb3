// A session token, verified: the signature by a key that is read once, and the rules for claims.

import { createPublicKey, verify } from "node:crypto";

const { ALLOWED_ORIGINS, CLERK_ISSUER, CLERK_JWT_KEY } = process.env;

const key = createPublicKey(CLERK_JWT_KEY);
const origins = ALLOWED_ORIGINS.split(/[ ,]+/);

const SKEW_SECONDS = 5;
const MACHINE_CATEGORY = "cl_B7d4PD333AAA";
const ID = /^[\w-]{1,255}$/;

function parse(part) {
  return JSON.parse(Buffer.from(part, "base64url").toString());
}

// The session, or the code of the first rule that is broken.
export function session(token, now) {
  let header, claims;
  const [first, second, third, ...rest] = token.split(".");
  try {
    header = parse(first);
    if (header.alg !== "RS256") return "token_algorithm";
    if (third === undefined || rest.length > 0) return "token_malformed";
    if (!verify("sha256", Buffer.from(`${first}.${second}`), key, Buffer.from(third, "base64url"))) {
      return "token_signature";
    }
    claims = parse(second);
  } catch {
    return "token_malformed";
  }
  const { act, azp, exp, iat, iss, metadata, nbf, o, org_id: v1, sts, sub } = claims;
  if (typeof exp !== "number") return "token_malformed";
  if (header.typ !== "JWT") return "token_type";
  if (typeof sub !== "string") return "token_subject";
  if (header.cat === MACHINE_CATEGORY || sub.startsWith("mch_")) return "token_machine";
  if (!ID.test(sub)) return "token_subject";
  if (exp <= now - SKEW_SECONDS) return "token_expired";
  if (nbf > now + SKEW_SECONDS) return "token_not_yet_valid";
  if (iat > now + SKEW_SECONDS) return "token_issued_in_future";
  if (iss !== CLERK_ISSUER) return "token_issuer";
  if (!origins.includes(azp)) return "token_origin";
  if (sts === "pending") return "session_pending";
  return {
    user: sub,
    actor: act?.sub ?? null,
    organization: o?.id ?? v1,
    issuedAt: iat,
    dbId: claims.dbId ?? metadata?.dbId,
    role: claims.role ?? metadata?.role,
  };
}
