// Sends a text that was cut in the middle of an emoji, as JavaScript does, between two sound calls of the same batch.
const { Analytics } = require('@segment/analytics-node');

const { FIRTH_HOST: host, FIRTH_WRITE_KEY: writeKey, FIRTH_RUN: run } = process.env;

async function main() {
  const analytics = new Analytics({ host, writeKey });
  let failed;
  analytics.on('error', (err) => { failed = err; });
  ['sound', 'wave 🌊'.slice(0, 6), 'sound too'].forEach((text, i) => {
    analytics.track({ messageId: `cut-${run}-${i}`, userId: 'u', event: 'Cut', properties: { text } });
  });
  await analytics.closeAndFlush({ timeout: 20000 });
  if (failed) throw new Error(JSON.stringify(failed));
}

main().catch((err) => { console.error(err); process.exit(1); });
