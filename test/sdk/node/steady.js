// Sends a track call every few milliseconds until its standard input ends, whatever becomes of the server, and prints which calls the
// SDK reports as delivered and which as failed.
const { Analytics } = require('@segment/analytics-node');

const { FIRTH_HOST: host, FIRTH_WRITE_KEY: writeKey, FIRTH_RUN: run } = process.env;

async function main() {
  const analytics = new Analytics({ host, writeKey, flushInterval: 100 });
  analytics.on('error', () => {}); // each call's own callback tells
  const delivered = [], failed = [];
  let ended = false;
  process.stdin.on('end', () => { ended = true; }).resume();
  for (let n = 0; !ended; n += 1) {
    const messageId = `steady-${run}-${n}`;
    analytics.track({ messageId, userId: `user-${n % 20}`, event: 'Steady', properties: { n } }, (err) => {
      (err ? failed : delivered).push(messageId);
    });
    await new Promise((resolve) => { setTimeout(resolve, 5); });
  }
  await analytics.closeAndFlush({ timeout: 60000 });
  console.log(JSON.stringify({ delivered, failed }));
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
