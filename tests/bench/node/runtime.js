// Lambda's Runtime API, as little of it as a function needs. It starts somewhat faster than AWS's own runtime client, so the
// comparison errs in Node.js's favour. Source: AWS, "Using the Lambda runtime API for custom runtimes", 2018-06-01.

import { Agent, request } from "node:http";

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
const api = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/runtime/invocation`;

function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const sent = request(`${api}/${path}`, { method, agent }, (answer) => {
      const parts = [];
      answer.on("data", (part) => parts.push(part));
      answer.on("end", () => resolve({ headers: answer.headers, body: Buffer.concat(parts).toString() }));
    });
    sent.on("error", reject);
    sent.end(body);
  });
}

export async function serve(handler) {
  for (;;) {
    const next = await call("GET", "next");
    const id = next.headers["lambda-runtime-aws-request-id"];
    const answer = await handler(JSON.parse(next.body));
    await call("POST", `${id}/response`, JSON.stringify(answer));
  }
}
