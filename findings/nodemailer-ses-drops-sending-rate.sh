#!/usr/bin/env bash
# nodemailer: the SES transport of version 10 accepts `maxConnections` and `sendingRate`, and limits nothing.
#
# Guess before the run: both options still hold back messages, as in version 6, or are refused as unknown.
# Behaviour: with maxConnections 1 and sendingRate 1, version 6.10.1 has one message of three in flight; version 10.6.1 hands
#   all 20 to the SES client at once. Neither says a word about the options. A program that relied on them to stay
#   under its SES rate sends in bursts after the upgrade.
# Versions: nodemailer 6.10.1 and 10.6.1, Node.js 20. The SES client is our own stand-in: no network.
# Output seen:
#   6.10.1: at most 1 in flight
#   10.6.1: at most 20 in flight
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent --no-audit --no-fund old@npm:nodemailer@6.10.1 new@npm:nodemailer@10.6.1
cat > count.cjs <<'JS'
const COUNT = 20;
setInterval(() => {}, 1000); // version 6 waits on timers that keep no process alive

// Answers each message a little later, and remembers how many waited at once.
function makeClient() {
  let inFlight = 0;
  const client = { most: 0, config: { region: async () => "us-east-1" } };
  client.send = async () => {
    inFlight += 1;
    client.most = Math.max(client.most, inFlight);
    await new Promise((resolve) => setTimeout(resolve, 20));
    inFlight -= 1;
    return { MessageId: "id" };
  };
  return client;
}

class Command {
  constructor(input) {
    this.input = input;
  }
}

async function count(nodemailer, makeOptions, messages) {
  const client = makeClient();
  const transport = nodemailer.createTransport({ ...makeOptions(client), maxConnections: 1, sendingRate: 1 });
  const mail = { from: "a@acme.example", to: "b@acme.example", subject: "x", text: "y" };
  await Promise.all(Array.from({ length: messages }, () => transport.sendMail(mail)));
  return client.most;
}

(async () => {
  // Version 6 waits a second between messages: three are enough to see it.
  const old = await count(require("old"), (ses) => ({ SES: { ses, aws: { SendRawEmailCommand: Command } } }), 3);
  const now = await count(require("new"), (sesClient) => ({ SES: { sesClient, SendEmailCommand: Command } }), COUNT);
  console.log(`6.10.1: at most ${old} in flight`);
  console.log(`10.6.1: at most ${now} in flight`);
  process.exit(old === 1 && now === COUNT ? 0 : 1);
})();
JS
node count.cjs
