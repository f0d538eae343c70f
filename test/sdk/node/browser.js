// Opens page.html, which holds @segment/analytics-next as npm delivers it, in a headless Chromium and prints what the page
// sent. The page is served from a port of its own, so that its calls cross origins.
const { spawn } = require('child_process');
const fs = require('fs');
const http = require('http');
const os = require('os');
const path = require('path');

const { FIRTH_HOST: host, FIRTH_WRITE_KEY: writeKey, FIRTH_RUN: run, FIRTH_CHROMIUM: chromium, FIRTH_BATCHING } = process.env;
const sdk = path.join(path.dirname(require.resolve('@segment/analytics-next/package.json')), 'dist/umd');
const types = { '.html': 'text/html', '.js': 'text/javascript', '.json': 'application/json' };

// serve answers the page's files; done is called with what the page posts at the end.
function serve(done) {
  const settings = JSON.stringify({ host, writeKey, run, batching: FIRTH_BATCHING === 'true' });
  return http.createServer((req, res) => {
    if (req.url === '/done') {
      let body = '';
      req.setEncoding('utf8').on('data', (part) => { body += part; }).on('end', () => { res.end(); done(body); });
      return;
    }
    if (req.url === '/settings.json') {
      res.setHeader('content-type', types['.json']);
      res.end(settings);
      return;
    }
    const file = req.url.startsWith('/sdk/') ? path.join(sdk, path.basename(req.url)) : path.join(__dirname, path.basename(req.url));
    fs.readFile(file, (err, data) => {
      res.statusCode = err ? 404 : 200;
      res.setHeader('content-type', types[path.extname(file)] || 'application/octet-stream');
      res.end(data);
    });
  });
}

function open(url, profile) {
  const flags = ['--headless', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
    '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage', `--user-data-dir=${profile}`,
    '--enable-logging=stderr'];
  if (process.getuid && process.getuid() === 0) flags.push('--no-sandbox');
  const browser = spawn(chromium, [...flags, url], { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
  // A group of its own, ended as a whole: Debian's command is a script that does not pass signals on.
  browser.end = () => { try { process.kill(-browser.pid, 'SIGKILL'); } catch { /* gone already */ } };
  process.on('exit', browser.end);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1));
  return browser;
}

async function main() {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'firth-chromium-'));
  let server, browser, log = '';
  try {
    const report = await new Promise((resolve, reject) => {
      server = serve(resolve).listen(0, '127.0.0.1', () => {
        browser = open(`http://localhost:${server.address().port}/page.html`, profile);
        browser.stderr.on('data', (part) => { log += part; });
        browser.on('error', reject);
        browser.on('exit', (code) => reject(new Error(`the browser ended early with ${code}`)));
        setTimeout(() => reject(new Error('the page did not report within 40 s')), 40000).unref();
      });
    });
    const { error } = JSON.parse(report);
    if (error) throw new Error(error);
    console.log(report);
  } catch (err) {
    console.error(log);
    throw err;
  } finally {
    if (server) server.close();
    if (browser && browser.exitCode === null) {
      browser.removeAllListeners('exit');
      const gone = new Promise((resolve) => { browser.once('close', resolve); });
      browser.end();
      await gone;
    }
    fs.rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

main().then(() => process.exit(0), (err) => { console.error(err); process.exit(1); });
