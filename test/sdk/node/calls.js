// The calls that every JavaScript client sends, in the shape of @segment/analytics-node's parameters.
// Loaded by require in Node and as a plain script in the browser page.
(function (root, make) {
  if (typeof module === 'object' && module.exports) module.exports = make();
  else root.firthCalls = make();
})(typeof globalThis === 'object' ? globalThis : this, function () {
  // Values of every kind that JSON from JavaScript can hold.
  const kinds = () => ({
    id: 'order-17',
    order: 'a reserved word',
    text: 'plain',
    unicode: 'Zoë, 日本語, 🌊, \u00a0\u2028',
    nul: 'before\u0000after',
    quoted: 'it\'s "quoted" \\ / \t',
    empty: '',
    numericText: '0012',
    whole: 42,
    negative: -7,
    zero: 0,
    largest: 9007199254740991,
    price: 18.99,
    tiny: 1e-7,
    huge: 1e21,
    yes: true,
    no: false,
    nothing: null,
    happenedAt: new Date('2025-02-03T04:05:06.789Z'),
    zoned: '2025-04-02T06:39:03.250+05:30',
    day: '2024-02-29',
    notADay: '2023-02-29',
    'Coupon Code': 'SPRING',
    shipping: { address: { city: 'Zürich', postalCode: '8001' }, weightKg: 1.5, express: false, parcels: 2 },
    products: [{ sku: 'a-1', quantity: 2, price: 9.495 }, { sku: 'b"2', quantity: 1, price: 0 }],
    tags: ['x', '日本'],
    mixed: [1, 'two', null, true, { three: 3 }],
    none: [],
    nobody: {},
  });

  return function calls(client, run) {
    const user = `user-${run}`;
    const anonymous = `anon-${run}`;
    const company = `company-${run}`;
    const who = { userId: user, anonymousId: anonymous };
    const context = {
      ip: '203.0.113.9',
      locale: 'de-CH',
      campaign: { name: 'Spring 🌱', source: 'newsletter' },
      custom: { Flag: true, level: 7, ratio: 0.25 },
    };
    const at = (text) => new Date(text);
    const list = [
      { type: 'identify', ...who, timestamp: at('2025-03-01T10:20:30.123Z'),
        traits: { id: 'crm-7', email: 'zoë@example.com', plan: 'free', logins: 3, score: 4.5, admin: true, phone: null,
          createdAt: at('2024-12-24T18:00:00.000Z'), address: { city: 'Zürich', postalCode: '8001' } } },
      { type: 'identify', ...who, traits: { plan: 'paid', company: { name: 'Wéird & Söns', employees: 12 } } },
      { type: 'track', ...who, event: 'Order Completed', timestamp: at('2025-03-01T10:21:00.456Z'), properties: kinds(),
        context, integrations: { All: true, Mixpanel: false } },
      { type: 'track', ...who, event: 'Signed Up 🎉', properties: { plan: 'free', seats: 1 } },
      { type: 'track', ...who, event: 'Signed Up 🎉', properties: { plan: 'free', seats: 2.5 } },
      { type: 'track', ...who, event: '日本語', properties: { tracksOnly: true } },
      { type: 'page', ...who, category: 'Docs', name: 'Install', timestamp: at('2025-03-02T00:00:00.001Z'),
        properties: { depth: 2, section: 'unpack', readAt: at('2025-03-01T23:59:59.000Z') } },
      { type: 'screen', ...who, category: 'Mobile', name: 'Home', properties: { depth: 1, landscape: false } },
      { type: 'group', ...who, groupId: company, timestamp: at('2025-03-02T08:00:00.000Z'),
        traits: { name: 'Wéird & Söns', employees: 12, mrr: 1234.56, trialEndsAt: at('2025-04-01T00:00:00.000Z'),
          domains: ['example.com', 'example.org'] } },
      { type: 'group', ...who, groupId: company, traits: { employees: 13, plan: 'paid' } },
      { type: 'alias', userId: user, previousId: `old-${run}` },
    ];
    list.forEach((call, i) => { call.messageId = `${client}-${run}-${i}`; });
    return list;
  };
});
