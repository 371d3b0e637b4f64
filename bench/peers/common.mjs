// What the scripts in Node share: the recipients, the templates (with nunjucks, which reads Jinja's), and the lanes.

import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import nunjucks from 'nunjucks';

export const [workspace, messages, concurrency] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4])];

const folder = join(workspace, 'campaigns', 'welcome');
const read = (name, autoescape) => {
  const environment = new nunjucks.Environment(null, { autoescape, trimBlocks: true, lstripBlocks: true });
  return nunjucks.compile(readFileSync(join(folder, name), 'utf8'), environment);
};
const html = read('body.html.j2', true);
const text = read('body.txt.j2', false);

export function render(row) {
  const link = `https://acme.example/u/${makeToken(row.address)}`;
  const context = { ...row, recipient: row, unsubscribe_url: link };
  return {
    subject: `Welcome, ${row.first_name}`,
    html: html.render(context),
    text: text.render(context),
    headers: {
      'List-Unsubscribe': `<mailto:unsubscribe@acme.example>, <${link}>`,
      'List-Unsubscribe-Post': 'List-Unsubscribe=One-Click',
      'List-Id': '<newsletter.acme.example>',
    },
    tags: { 'mailrun-campaign': 'welcome', 'mailrun-key': 'bench', 'mailrun-row': String(row.row) },
  };
}

function makeToken(address) {
  const subject = Buffer.from(`${address}\0newsletter`);
  const mac = createHmac('sha256', 'a key for measurements only').update(subject).digest().subarray(0, 16);
  return `${subject.toString('base64url')}.${mac.toString('base64url')}`;
}

export const makePairs = (values) => Object.entries(values).map(([Name, Value]) => ({ Name, Value }));

// Sends to the first recipients of the plan, so many at once.
export async function sendAll(send) {
  const lines = readFileSync(join(workspace, 'recipients.ndjson'), 'utf8').split('\n', messages);
  const rows = lines.map((line) => JSON.parse(line)).values();
  const lane = async () => {
    for (const row of rows) await send(row);
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
}
