// Signs in by node-postgres and says who it is; the connection as JSON on standard input.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// Where `npm install pg` was run: the first argument.
const { Client } = createRequire(process.argv[2] + "/")("pg");
const to = JSON.parse(readFileSync(0, "utf8"));
const ssl = { ca: readFileSync(to.ca, "utf8") };
if (to.cert) {
  ssl.cert = readFileSync(to.cert, "utf8");
  ssl.key = readFileSync(to.key, "utf8");
}
const client = new Client({
  host: to.host,
  port: to.port,
  database: "locus",
  user: to.user,
  password: to.password,
  options: to.otp ? `-c locus.otp=${to.otp}` : undefined,
  ssl,
});
try {
  await client.connect();
  const result = await client.query("SELECT current_user");
  console.log(result.rows[0].current_user);
  await client.end();
} catch (error) {
  console.log(`refused: ${error.code} ${error.message}`);
}
