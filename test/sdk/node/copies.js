// Sends copies of the same calls, told apart by the property `copy`, in one batch, and then a marker that ends the run.
// FIRTH_COPIES is a list such as 1,2; the message ids of the copies are the same in every run with the same FIRTH_RUN.
const { Analytics } = require('@segment/analytics-node');

const { FIRTH_HOST: host, FIRTH_WRITE_KEY: writeKey, FIRTH_RUN: run, FIRTH_COPIES } = process.env;
const timestamp = new Date('2025-03-01T10:20:30.123Z');

async function main() {
  const analytics = new Analytics({ host, writeKey });
  let failed;
  analytics.on('error', (err) => { failed = err; });
  const userId = `user-${run}`;
  const calls = [];
  for (const copy of FIRTH_COPIES.split(',').map(Number)) {
    calls.push({ type: 'track', messageId: `track-${run}`, userId, event: 'Copied', properties: { copy }, timestamp });
    calls.push({ type: 'identify', messageId: `identify-${run}`, userId, traits: { copy }, timestamp });
    calls.push({ type: 'group', messageId: `group-${run}`, userId, groupId: `company-${run}`, traits: { copy }, timestamp });
  }
  calls.push({ type: 'page', messageId: `marker-${run}-${FIRTH_COPIES}`, userId, name: 'Marker' });
  for (const { type, ...params } of calls) analytics[type](params);
  await analytics.closeAndFlush({ timeout: 20000 });
  if (failed) throw new Error(JSON.stringify(failed));
  console.log(JSON.stringify({ library: '@segment/analytics-node', version: analytics.VERSION, calls }));
}

main().catch((err) => { console.error(err); process.exit(1); });
