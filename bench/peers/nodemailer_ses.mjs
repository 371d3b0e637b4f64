// A common script in Node: render with nunjucks, send with nodemailer's SES transport. No plan, no ledger.
// Usage: node nodemailer_ses.mjs WORKSPACE MESSAGES CONCURRENCY; SES is found as the SDK finds it.

import { SESv2Client, SendEmailCommand } from '@aws-sdk/client-sesv2';
import nodemailer from 'nodemailer';
import { concurrency, makePairs, render, sendAll } from './common.mjs';

const sockets = { maxSockets: concurrency };
const sesClient = new SESv2Client({ maxAttempts: 1, requestHandler: { httpAgent: sockets, httpsAgent: sockets } });
const transport = nodemailer.createTransport({ SES: { sesClient, SendEmailCommand } });

await sendAll((row) => {
  const { subject, html, text, headers, tags } = render(row);
  return transport.sendMail({
    from: 'Acme News <news@acme.example>',
    replyTo: 'hello@acme.example',
    to: row.address,
    subject,
    html,
    text,
    headers,
    ses: { EmailTags: makePairs(tags) },
  });
});
