// Sends every kind of call by @segment/analytics-node and prints what it sent.
const { Analytics } = require('@segment/analytics-node');
const calls = require('./calls.js');

const { FIRTH_HOST: host, FIRTH_WRITE_KEY: writeKey, FIRTH_RUN: run } = process.env;

async function main() {
  const analytics = new Analytics({ host, writeKey });
  let failed;
  analytics.on('error', (err) => { failed = err; });
  const sent = calls('segment-node', run);
  for (const { type, ...params } of sent) analytics[type](params);
  await analytics.closeAndFlush({ timeout: 20000 });
  if (failed) throw new Error(JSON.stringify(failed));
  console.log(JSON.stringify({ library: '@segment/analytics-node', version: analytics.VERSION, calls: sent }));
}

main().catch((err) => { console.error(err); process.exit(1); });
