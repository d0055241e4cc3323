// @mongodb-js/oidc-mock-provider on a free port of 127.0.0.1, until standard input ends. Prints one line: the issuer.
//
// A token's user (`sub`) is the client id that asks; its audience is "mongodb". A client id that begins with "expired-" gets tokens
// that have expired, one that begins with "elsewhere-" gets them for another audience.
"use strict";
const { OIDCMockProvider } = require("@mongodb-js/oidc-mock-provider");

(async () => {
  const provider = await OIDCMockProvider.create({
    hostname: "127.0.0.1",
    getTokenPayload({ client_id }) {
      const expires_in = client_id.startsWith("expired-") ? -600 : 3600;
      const aud = client_id.startsWith("elsewhere-") ? "another" : "mongodb";
      return { expires_in, payload: { sub: client_id, aud } };
    },
  });
  console.log(provider.issuer);
  process.stdin.resume();
  process.stdin.on("end", () => process.exit(0));
})();
