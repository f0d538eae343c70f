// Sends every kind of call by @rudderstack/rudder-sdk-node and prints what it sent.
const Analytics = require('@rudderstack/rudder-sdk-node');
const { version } = require('@rudderstack/rudder-sdk-node/package.json');
const calls = require('./calls.js');

const { FIRTH_HOST: host, FIRTH_WRITE_KEY: writeKey, FIRTH_RUN: run } = process.env;

async function main() {
  const analytics = new Analytics(writeKey, { dataPlaneUrl: host, flushInterval: 200 });
  const sent = calls('rudder-node', run);
  const answers = sent.map(({ type, ...message }) => new Promise((resolve, reject) => {
    analytics[type](message, (err) => (err ? reject(err) : resolve()));
  }));
  await Promise.all(answers);
  console.log(JSON.stringify({ library: '@rudderstack/rudder-sdk-node', version, calls: sent }));
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
