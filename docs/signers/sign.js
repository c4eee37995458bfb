const { createHmac } = require("crypto"), { readFileSync } = require("fs");

function sign(server, path, secret, limits) {
  const end = new Date(Date.now() + 900_000).toISOString().replace(/\.\d+/, "");
  const key = { signer: "web", end, ...limits }, signed = { path, ...key };
  const lines = Object.keys(signed).sort().map((name) => `${name}=${signed[name]}\n`).join("");
  key.sig = createHmac("sha256", secret).update("valetkey/1\n" + lines).digest("base64url");
  const query = new URLSearchParams(Object.entries(key).map(([name, value]) => ["vk-" + name, value]));
  return server + path.split("/").map(encodeURIComponent).join("/") + "?" + query;
}

const [secret, server, path, ...limits] = process.argv.slice(2);
console.log(sign(server, path, readFileSync(secret, "utf8").trim(), Object.fromEntries(limits.map((limit) => limit.split(/=(.*)/s, 2)))));
