// Runs in the browser: sends every kind of call by @segment/analytics-next and reports to the server of the page.
// The only settings are where the SDK finds its settings document and, in the batching run, the delivery strategy.
(async function () {
  const { host, writeKey, run, batching } = await (await fetch('/settings.json')).json();
  const sent = firthCalls('next', run);
  const options = batching
    ? { integrations: { 'Segment.io': { deliveryStrategy: { strategy: 'batching', config: { size: sent.length, timeout: 3000 } } } } }
    : {};

  function send(analytics, call) {
    const { context, integrations, timestamp, messageId } = call;
    const extra = JSON.parse(JSON.stringify({ context, integrations, messageId }));
    if (timestamp) extra.timestamp = timestamp;
    switch (call.type) {
      case 'identify': return analytics.identify(call.userId, call.traits, extra);
      case 'track': return analytics.track(call.event, call.properties, extra);
      case 'page': return analytics.page(call.category, call.name, call.properties, extra);
      case 'screen': return analytics.screen(call.category, call.name, call.properties, extra);
      case 'group': return analytics.group(call.groupId, call.traits, extra);
      case 'alias': return analytics.alias(call.userId, call.previousId, extra);
      default: throw new Error(`no such call: ${call.type}`);
    }
  }

  async function main() {
    const [analytics] = await AnalyticsNext.AnalyticsBrowser.load({ writeKey, cdnURL: host }, options);
    const failures = [];
    analytics.on('error', (err) => failures.push(String(err.reason || err.code || err)));
    analytics.setAnonymousId(sent[0].anonymousId);
    const pending = [];
    for (const call of sent) {
      const answer = send(analytics, call).then((ctx) => {
        if (ctx.failedDelivery()) throw new Error(String(ctx.failedDelivery().reason));
        call.messageId = ctx.event.messageId; // the SDK may give its own
      });
      pending.push(answer);
      if (!batching) await answer;
    }
    await Promise.all(pending);
    if (failures.length) throw new Error(failures.join('; '));
    return { library: '@segment/analytics-next', version: analytics.VERSION, calls: sent };
  }

  const report = await main().catch((err) => ({ error: String(err && err.stack ? err.stack : err) }));
  await fetch('/done', { method: 'POST', body: JSON.stringify(report) });
})();
