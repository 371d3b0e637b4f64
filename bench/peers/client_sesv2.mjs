// A common script in Node: render with nunjucks, send with @aws-sdk/client-sesv2. No plan, no ledger.
// Usage: node client_sesv2.mjs WORKSPACE MESSAGES CONCURRENCY; SES is found as the SDK finds it.

import { SESv2Client, SendEmailCommand } from '@aws-sdk/client-sesv2';
import { concurrency, makePairs, render, sendAll } from './common.mjs';

const sockets = { maxSockets: concurrency };
const client = new SESv2Client({ maxAttempts: 1, requestHandler: { httpAgent: sockets, httpsAgent: sockets } });

await sendAll((row) => {
  const { subject, html, text, headers, tags } = render(row);
  const write = (Data) => ({ Data, Charset: 'UTF-8' });
  const Body = { Html: write(html), Text: write(text) };
  return client.send(
    new SendEmailCommand({
      FromEmailAddress: 'Acme News <news@acme.example>',
      ReplyToAddresses: ['hello@acme.example'],
      Destination: { ToAddresses: [row.address] },
      EmailTags: makePairs(tags),
      Content: { Simple: { Subject: write(subject), Body, Headers: makePairs(headers) } },
    }),
  );
});
